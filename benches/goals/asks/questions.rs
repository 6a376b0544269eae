//! The questions: twenty of filters, orders and counts, and ten of groups, words, places and the past.

/// Which part of a data set answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The records themselves.
    Page,
    /// Groups of them.
    Groups,
    /// The values of a column.
    Facets,
    /// Sums of a column.
    Stats,
}

impl Part {
    /// Its path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Page => "/permits",
            Self::Groups => "/permits/groups",
            Self::Facets => "/permits/facets",
            Self::Stats => "/permits/stats",
        }
    }

    /// Where an answer has its rows.
    pub(super) fn pointer(self) -> &'static str {
        match self {
            Self::Page => "/data",
            Self::Groups => "/groups",
            Self::Facets => "/facets/0/values",
            Self::Stats => "/stats",
        }
    }
}

/// The goals of answers that are made anew: kinds of questions that no index serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Values, numbers, dates, counts, and conditions joined.
    Conditions,
    /// The first page of an order.
    Order,
    /// A text that nothing contains.
    NoText,
    /// Facets, and groups by two columns with a sum.
    Groups,
    /// Records near a point, and within a box.
    Places,
}

impl Goal {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [Self::Conditions, Self::Order, Self::NoText, Self::Groups, Self::Places];

    /// What is measured.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Conditions => "value, number, date, count, conditions joined",
            Self::Order => "any order without an index, first page",
            Self::NoText => "a text that nothing contains",
            Self::Groups => "facets, groups by two columns with a sum",
            Self::Places => "near 500 m, a box",
        }
    }

    /// The most milliseconds for 1,000,000 and for 5,000,000 records; other sizes have no goal.
    pub(super) fn wanted_ms(self, records: u64) -> Option<f64> {
        let (million, five) = match self {
            Self::Conditions => (2.0, 6.0),
            Self::Order | Self::Places => (3.0, 12.0),
            Self::NoText => (30.0, 120.0),
            Self::Groups => (6.0, 25.0),
        };
        match records {
            1_000_000 => Some(million),
            5_000_000 => Some(five),
            _ => None,
        }
    }
}

/// A question. `{before}` is the version before the last import, `{offset}` how many records come before a late page.
pub(super) struct Ask {
    pub(super) kind: &'static str,
    /// Who answers in permitd.
    pub(super) part: Part,
    /// As permitd is asked.
    pub(super) query: &'static str,
    /// As Datasette is asked: parameters of its table, or `SQL` and a statement; not at all where it cannot answer.
    pub(super) datasette: Option<&'static str>,
    /// As ROAPI is asked: what stands behind `SELECT * FROM permits`, or a whole statement; not at all where it cannot answer.
    pub(super) roapi: Option<&'static str>,
    /// As DuckDB is asked, in the same way. Its table is in the order of keys, and so are the rows that it finds without an order. A second
    /// statement is a count.
    pub(super) duckdb: &'static [&'static str],
    /// Whether an index that permitd's definition declares serves it, or the key.
    pub(super) is_indexed: bool,
    /// The goal that it belongs to.
    pub(super) goal: Option<Goal>,
    /// What the server must have: where it has not, and answers 400, the question is left out.
    pub(super) needs: Option<&'static str>,
}

/// What most questions have.
const PAGE: Ask = Ask {
    kind: "",
    part: Part::Page,
    query: "",
    datasette: None,
    roapi: None,
    duckdb: &[],
    is_indexed: false,
    goal: None,
    needs: None,
};

/// Those that all systems are asked.
pub(super) const ASKS: [Ask; 30] = [
    Ask {
        kind: "an index has filter and order",
        query: "status=issued&sort=status_date",
        datasette: Some("status=issued&_sort=status_date"),
        roapi: Some("WHERE status = 'issued' ORDER BY status_date LIMIT 100"),
        duckdb: &["WHERE status = 'issued' ORDER BY status_date, application_number, record_id LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "an index, backwards, with a range",
        query: "status=issued&estimated_cost__gte=100000&sort=-estimated_cost",
        datasette: Some("status=issued&estimated_cost__gte=10000000&_sort_desc=estimated_cost"),
        roapi: Some("WHERE status = 'issued' AND estimated_cost >= 100000 ORDER BY estimated_cost DESC LIMIT 100"),
        duckdb: &["WHERE status = 'issued' AND estimated_cost >= 100000
            ORDER BY estimated_cost DESC, application_number DESC, record_id DESC LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "an index, few records",
        query: "block=2998&lot=32",
        datasette: Some("block=2998&lot=32"),
        roapi: Some("WHERE block = '2998' AND lot = '32' LIMIT 100"),
        duckdb: &["WHERE block = '2998' AND lot = '32' LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "an index, the records of a block",
        query: "block=2998",
        datasette: Some("block=2998"),
        roapi: Some("WHERE block = '2998' LIMIT 100"),
        duckdb: &["WHERE block = '2998' LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "the beginning of the key",
        query: "application_number__startswith=201611",
        datasette: Some("application_number__startswith=%23201611"),
        roapi: Some("WHERE starts_with(application_number, '#201611') ORDER BY application_number LIMIT 100"),
        duckdb: &["WHERE starts_with(application_number, '#201611') LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "a list of values, in an index's order",
        query: "block__in=2998,3871,4917,2478&sort=lot",
        datasette: Some("block__in=2998,3871,4917,2478&_sort=lot"),
        roapi: Some("WHERE block IN ('2998','3871','4917','2478') ORDER BY lot LIMIT 100"),
        duckdb: &["WHERE block IN ('2998','3871','4917','2478') ORDER BY lot, application_number, record_id LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "alternatives over two indexes",
        query: "filter=block+%3D+2998+OR+(status+%3D+issued+AND+estimated_cost+%3E+5000000)&sort=-file_date",
        datasette: Some(
            "_where=(block+%3D+%272998%27+OR+(status+%3D+%27issued%27+AND+estimated_cost+%3E+500000000))\
             &_sort_desc=file_date",
        ),
        roapi: Some(
            "WHERE block = '2998' OR (status = 'issued' AND estimated_cost > 5000000) ORDER BY file_date DESC LIMIT 100",
        ),
        duckdb: &["WHERE block = '2998' OR (status = 'issued' AND estimated_cost > 5000000)
            ORDER BY file_date DESC, application_number DESC, record_id DESC LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "an index has the filter, not the order",
        query: "status=issued&file_date__gte=2016-12-20&sort=-revised_cost",
        datasette: Some("status=issued&file_date__gte=20161220&_sort_desc=revised_cost"),
        roapi: Some("WHERE status = 'issued' AND file_date >= '2016-12-20' ORDER BY revised_cost DESC LIMIT 100"),
        duckdb: &["WHERE status = 'issued' AND file_date >= DATE '2016-12-20'
            ORDER BY revised_cost DESC, application_number DESC, record_id DESC LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "half indexed: a text besides",
        query: "status=issued&description__contains=kitchen&sort=-file_date",
        datasette: Some("status=issued&description__contains=kitchen&_sort_desc=file_date"),
        roapi: Some("WHERE status = 'issued' AND description ILIKE '%kitchen%' ORDER BY file_date DESC LIMIT 100"),
        duckdb: &["WHERE status = 'issued' AND description ILIKE '%kitchen%'
            ORDER BY file_date DESC, application_number DESC, record_id DESC LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "half indexed: a rare number besides",
        query: "status=issued&existing_units__gt=100&sort=-file_date",
        datasette: Some("status=issued&existing_units__gt=100&_sort_desc=file_date"),
        roapi: Some("WHERE status = 'issued' AND existing_units > 100 ORDER BY file_date DESC LIMIT 100"),
        duckdb: &["WHERE status = 'issued' AND existing_units > 100
            ORDER BY file_date DESC, application_number DESC, record_id DESC LIMIT 100"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "not indexed, matches often",
        query: "existing_use=apartments",
        datasette: Some("existing_use=apartments"),
        roapi: Some("WHERE existing_use = 'apartments' LIMIT 100"),
        duckdb: &["WHERE existing_use = 'apartments' LIMIT 100"],
        goal: Some(Goal::Conditions),
        ..PAGE
    },
    Ask {
        kind: "not indexed, matches rarely",
        query: "revised_cost__gt=5000000",
        datasette: Some("revised_cost__gt=500000000"),
        roapi: Some("WHERE revised_cost > 5000000 LIMIT 100"),
        duckdb: &["WHERE revised_cost > 5000000 LIMIT 100"],
        goal: Some(Goal::Conditions),
        ..PAGE
    },
    Ask {
        kind: "not indexed, matches nothing",
        query: "existing_use=lighthouse",
        datasette: Some("existing_use=lighthouse"),
        roapi: Some("WHERE existing_use = 'lighthouse' LIMIT 100"),
        duckdb: &["WHERE existing_use = 'lighthouse' LIMIT 100"],
        goal: Some(Goal::Conditions),
        ..PAGE
    },
    Ask {
        kind: "a text, matches often",
        query: "description__contains=window",
        datasette: Some("description__contains=window"),
        roapi: Some("WHERE description ILIKE '%window%' LIMIT 100"),
        duckdb: &["WHERE description ILIKE '%window%' LIMIT 100"],
        ..PAGE
    },
    Ask {
        kind: "a text, matches nothing",
        query: "description__contains=lighthouse",
        datasette: Some("description__contains=lighthouse"),
        roapi: Some("WHERE description ILIKE '%lighthouse%' LIMIT 100"),
        duckdb: &["WHERE description ILIKE '%lighthouse%' LIMIT 100"],
        goal: Some(Goal::NoText),
        ..PAGE
    },
    Ask {
        kind: "no filter, an order without an index",
        query: "sort=-estimated_cost",
        datasette: Some("_sort_desc=estimated_cost"),
        roapi: Some("ORDER BY estimated_cost DESC LIMIT 100"),
        duckdb: &["ORDER BY estimated_cost DESC NULLS LAST, application_number DESC, record_id DESC LIMIT 100"],
        goal: Some(Goal::Order),
        ..PAGE
    },
    Ask {
        kind: "the opposite of a list",
        query: "filter=NOT+(existing_use+%3D+apartments+OR+existing_use+%3D+office)",
        datasette: Some("existing_use__notin=apartments,office"),
        roapi: Some("WHERE existing_use NOT IN ('apartments','office') LIMIT 100"),
        duckdb: &["WHERE existing_use NOT IN ('apartments','office') OR existing_use IS NULL LIMIT 100"],
        goal: Some(Goal::Conditions),
        ..PAGE
    },
    Ask {
        kind: "wide: 1,000 records",
        query: "limit=1000",
        datasette: Some("_size=1000"),
        roapi: Some("LIMIT 1000"),
        duckdb: &["LIMIT 1000"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "how many records match, with an index",
        query: "status=issued&limit=1&count=exact",
        datasette: Some("status=issued&_size=1&_count=1"),
        roapi: Some("SELECT count(*) FROM permits WHERE status = 'issued'"),
        duckdb: &["WHERE status = 'issued' LIMIT 1", "SELECT count(*) AS count FROM permits WHERE status = 'issued'"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "page 900 of the first question",
        query: "status=issued&sort=status_date LATE",
        datasette: Some("status=issued&_sort=status_date LATE"),
        roapi: Some("WHERE status = 'issued' ORDER BY status_date LIMIT 100 OFFSET {offset}"),
        duckdb: &["WHERE status = 'issued' ORDER BY status_date, application_number, record_id LIMIT 100 OFFSET {offset}"],
        is_indexed: true,
        ..PAGE
    },
    Ask {
        kind: "groups by two columns, with a sum",
        part: Part::Groups,
        query: "by=existing_use,proposed_use&measure=count,sum(estimated_cost)&limit=1000",
        datasette: Some(
            "SQL SELECT existing_use, proposed_use, count(*), sum(estimated_cost) FROM permits GROUP BY 1, 2 ORDER BY 1, 2",
        ),
        roapi: Some(
            "SELECT existing_use, proposed_use, count(*) AS n, sum(estimated_cost) AS total FROM permits
             GROUP BY existing_use, proposed_use ORDER BY existing_use, proposed_use",
        ),
        duckdb: &["SELECT existing_use, proposed_use, count(*) AS count, sum(estimated_cost) AS sum_estimated_cost
            FROM permits GROUP BY 1, 2 ORDER BY 1 NULLS LAST, 2 NULLS LAST"],
        goal: Some(Goal::Groups),
        ..PAGE
    },
    Ask {
        kind: "groups by month",
        part: Part::Groups,
        query: "by=month(file_date)&measure=count&limit=1000",
        datasette: Some("SQL SELECT file_date / 100, count(*) FROM permits GROUP BY 1 ORDER BY 1"),
        roapi: Some(
            "SELECT date_trunc('month', CAST(file_date AS DATE)) AS month, count(*) AS n FROM permits GROUP BY 1 ORDER BY 1",
        ),
        duckdb: &["SELECT strftime(month, '%Y-%m') AS month_file_date, count
            FROM (SELECT date_trunc('month', file_date) AS month, count(*) AS count FROM permits GROUP BY 1)
            ORDER BY 1 NULLS LAST"],
        ..PAGE
    },
    Ask {
        kind: "the median by a column",
        part: Part::Groups,
        query: "by=existing_use&measure=median(estimated_cost)",
        roapi: Some(
            "SELECT existing_use, median(estimated_cost) AS middle FROM permits GROUP BY existing_use ORDER BY existing_use",
        ),
        duckdb: &["SELECT existing_use, median(estimated_cost) AS median_estimated_cost
            FROM permits GROUP BY 1 ORDER BY 1 NULLS LAST"],
        ..PAGE
    },
    Ask {
        kind: "facets of a column, with a filter",
        part: Part::Facets,
        query: "columns=proposed_use&estimated_cost__gte=100000",
        datasette: Some(
            "SQL SELECT proposed_use, count(*) FROM permits WHERE estimated_cost >= 10000000
             GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100",
        ),
        roapi: Some(
            "SELECT proposed_use, count(*) AS n FROM permits WHERE estimated_cost >= 100000
             GROUP BY proposed_use ORDER BY n DESC, proposed_use LIMIT 100",
        ),
        duckdb: &["SELECT proposed_use AS value, count(*) AS count FROM permits WHERE estimated_cost >= 100000
            GROUP BY 1 ORDER BY 2 DESC, 1 NULLS LAST LIMIT 100"],
        goal: Some(Goal::Groups),
        ..PAGE
    },
    Ask {
        kind: "sums of a column",
        part: Part::Stats,
        query: "columns=estimated_cost",
        datasette: Some(
            "SQL SELECT count(estimated_cost), min(estimated_cost), max(estimated_cost), sum(estimated_cost),
             avg(estimated_cost) FROM permits",
        ),
        roapi: Some(
            "SELECT count(estimated_cost) AS n, min(estimated_cost) AS least, max(estimated_cost) AS most,
             sum(estimated_cost) AS total, avg(estimated_cost) AS mean FROM permits",
        ),
        duckdb: &["SELECT count(estimated_cost) AS count, min(estimated_cost) AS min, max(estimated_cost) AS max,
            sum(estimated_cost) AS sum, avg(estimated_cost) AS mean FROM permits"],
        ..PAGE
    },
    Ask {
        kind: "words",
        query: "q=kitchen+remodel",
        datasette: Some("description__contains=kitchen&description__like=%25remodel%25"),
        roapi: Some("WHERE description ILIKE '%kitchen%' AND description ILIKE '%remodel%' LIMIT 100"),
        duckdb: &["WHERE description ILIKE '%kitchen%' AND description ILIKE '%remodel%' LIMIT 100"],
        ..PAGE
    },
    Ask {
        kind: "words, the most relevant first",
        query: "q=work+per&sort=relevance",
        // As permitd ranks: 1 for each word, 1 more where it is a whole one, 4 more where they follow each other.
        duckdb: &[r"WHERE regexp_matches(description, '\bwork', 'i') AND regexp_matches(description, '\bper', 'i')
            ORDER BY 2 + CAST(regexp_matches(description, '\bwork\b', 'i') AS INTEGER)
                + CAST(regexp_matches(description, '\bper\b', 'i') AS INTEGER)
                + 4 * CAST(regexp_matches(description, '\bwork\W+per', 'i') AS INTEGER) DESC,
                application_number, record_id LIMIT 100"],
        ..PAGE
    },
    Ask {
        kind: "how many are within 500 m",
        query: "near=37.77,-122.42,500m&limit=1&count=exact",
        // The haversine formula; a box around the circle spares most records from it.
        duckdb: &[
            "WHERE lat BETWEEN 37.7655 AND 37.7745 AND lon BETWEEN -122.4257 AND -122.4143 AND 2 * 6371008.8 * asin(sqrt(
             pow(sin(radians(lat - 37.77) / 2), 2)
             + cos(radians(37.77)) * cos(radians(lat)) * pow(sin(radians(lon + 122.42) / 2), 2))) <= 500 LIMIT 1",
            "SELECT count(*) AS count FROM permits WHERE lat BETWEEN 37.7655 AND 37.7745
             AND lon BETWEEN -122.4257 AND -122.4143 AND 2 * 6371008.8 * asin(sqrt(
             pow(sin(radians(lat - 37.77) / 2), 2)
             + cos(radians(37.77)) * cos(radians(lat)) * pow(sin(radians(lon + 122.42) / 2), 2))) <= 500",
        ],
        goal: Some(Goal::Places),
        needs: Some("places"),
        ..PAGE
    },
    Ask {
        kind: "a box",
        query: "bbox=-122.43,37.76,-122.41,37.78",
        duckdb: &["WHERE lon BETWEEN -122.43 AND -122.41 AND lat BETWEEN 37.76 AND 37.78 LIMIT 100"],
        goal: Some(Goal::Places),
        needs: Some("places"),
        ..PAGE
    },
    Ask {
        kind: "how many matched at the version before",
        query: "status=issued&existing_use=apartments&limit=1&count=exact&as_of={before}",
        duckdb: &[
            "SELECT * FROM permits_before WHERE status = 'issued' AND existing_use = 'apartments' LIMIT 1",
            "SELECT count(*) AS count FROM permits_before WHERE status = 'issued' AND existing_use = 'apartments'",
        ],
        needs: Some("the past"),
        ..PAGE
    },
];

/// Those that only permitd is asked, since the goals name their kinds: a date, a count, conditions joined; more orders.
pub(super) const BESIDES: [Ask; 6] = [
    Ask { kind: "not indexed, a date", query: "expiration_date__gte=2018-06-01", goal: Some(Goal::Conditions), ..PAGE },
    Ask {
        kind: "not indexed, how many records match",
        query: "existing_use=apartments&limit=1&count=exact",
        goal: Some(Goal::Conditions),
        ..PAGE
    },
    Ask {
        kind: "not indexed, conditions joined",
        query: "existing_use=apartments&proposed_units__gte=12&revised_cost__gt=1000000&expiration_date__lt=2017-06-01",
        goal: Some(Goal::Conditions),
        ..PAGE
    },
    Ask { kind: "an order by a text, without an index", query: "sort=description", goal: Some(Goal::Order), ..PAGE },
    Ask {
        kind: "an order by two columns, without an index",
        query: "sort=existing_use,-revised_cost",
        goal: Some(Goal::Order),
        ..PAGE
    },
    Ask {
        kind: "an order without an index, with a filter",
        query: "existing_use=office&sort=-expiration_date",
        goal: Some(Goal::Order),
        ..PAGE
    },
];
