//! Counts answers by route, class and duration: counted by the edge, shown by `/metrics`.
//!
//! Counting must be cheap, since every request passes it: a few relaxed atomic additions, and for the data sets' routes no lock and
//! no allocation.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::http::StatusCode;

use super::DataRoute;

/// The upper bounds of the latency histogram's buckets, microseconds; one more bucket takes what is above.
pub const BOUNDS_US: [i64; 12] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000];
/// The classes of answers, by the first digit of their status.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The pattern shown for requests that no route took.
const UNMATCHED: &str = "(none)";
const BUCKETS: usize = BOUNDS_US.len() + 1;

/// The answers of one route and class.
#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Histogram {
    fn observe(&self, duration_us: i64) {
        let at = BOUNDS_US.iter().position(|bound| duration_us <= *bound).unwrap_or(BOUNDS_US.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(u64::try_from(duration_us).unwrap_or(0), Ordering::Relaxed);
    }

    fn read(&self, route: &str, class: &'static str) -> MeterReading {
        let buckets = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        MeterReading { route: route.to_owned(), class, buckets, sum_us: self.sum_us.load(Ordering::Relaxed) }
    }
}

#[derive(Debug, Default)]
struct Route([Histogram; CLASSES.len()]);

impl Route {
    fn observe(&self, status: StatusCode, duration_us: i64) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(histogram) = self.0.get(class) {
            histogram.observe(duration_us);
        }
    }
}

/// The answers of one route and class, as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterReading {
    /// The route's pattern.
    pub route: String,
    /// One of [`CLASSES`].
    pub class: &'static str,
    /// The number of answers in each bucket: one for each of [`BOUNDS_US`], and one above.
    pub buckets: Vec<u64>,
    /// The sum of their durations, microseconds.
    pub sum_us: u64,
}

impl MeterReading {
    /// The number of answers.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// The meter of a node, shared by its workers.
#[derive(Debug, Default)]
pub struct RequestMeter {
    data: [Route; DataRoute::ALL.len()],
    /// The other routes: at most as many as the program has patterns.
    others: RwLock<BTreeMap<String, Arc<Route>>>,
}

impl RequestMeter {
    /// Counts an answer of a data set's route.
    pub fn observe_data(&self, route: DataRoute, status: StatusCode, duration_us: i64) {
        if let Some(route) = self.data.get(route as usize) {
            route.observe(status, duration_us);
        }
    }

    /// Counts an answer of another route by its pattern; `None` if no route took the request.
    pub fn observe(&self, pattern: Option<&str>, status: StatusCode, duration_us: i64) {
        self.other(pattern.unwrap_or(UNMATCHED)).observe(status, duration_us);
    }

    fn other(&self, pattern: &str) -> Arc<Route> {
        if let Some(route) = self.others.read().unwrap_or_else(PoisonError::into_inner).get(pattern) {
            return Arc::clone(route);
        }
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(others.entry(pattern.to_owned()).or_default())
    }

    /// The readings of every route and class that had an answer.
    pub fn read(&self) -> Vec<MeterReading> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let data = DataRoute::ALL.iter().map(|route| route.pattern()).zip(&self.data);
        let all = data.chain(others.iter().map(|(pattern, route)| (pattern.as_str(), &**route)));
        all.flat_map(|(pattern, route)| {
            CLASSES.iter().zip(&route.0).map(move |(class, histogram)| histogram.read(pattern, class))
        })
        .filter(|reading| reading.count() > 0)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_route_class_and_time() {
        let meter = RequestMeter::default();
        meter.observe_data(DataRoute::Key, StatusCode::OK, 50);
        meter.observe_data(DataRoute::Key, StatusCode::OK, 51);
        meter.observe_data(DataRoute::Key, StatusCode::NOT_FOUND, 60_000_000);
        let readings = meter.read();
        assert_eq!(readings.len(), 2);
        let ok = &readings[0];
        assert_eq!((ok.route.as_str(), ok.class, ok.count(), ok.sum_us), ("/{dataset}/{key}", "2xx", 2, 101));
        assert_eq!(ok.buckets[..3], [1, 1, 0]);
        assert_eq!((readings[1].class, readings[1].buckets.last()), ("4xx", Some(&1)));
        meter.observe(None, StatusCode::NOT_FOUND, 1);
        assert_eq!(meter.read()[2].route, UNMATCHED);
    }
}
