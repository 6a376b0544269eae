//! The building blocks of a sample. Weights are counts in a real month of 2,166 rows; street names are public, people invented.

/// The headers of the real sheet, in its order: 41, `STREET_NUMBER` twice.
pub(super) const HEADERS: [&str; 41] = [
    "APPLICATION #",
    "FORM_NUMBER",
    "FILE_DATE",
    "STATUS_DATE",
    "STATUS",
    "STATUS_CODE",
    "EXPIRATION_DATE",
    "ESTIMATED COST",
    "REVISED COST",
    "EXISTING USE",
    "EXISTING UNITS",
    "PROPOSED USE",
    "PROPOSED UNITS",
    "PLANSETS",
    "15_DAY_HOLD?",
    "EXISTING STORIES",
    "PROPOSED STORIES",
    "ASSESSOR STORIES",
    "VOLUNTARY SOFT-STORY RETROFIT",
    "NO OF PAGES",
    "BLOCK",
    "LOT",
    "STREET_NUMBER",
    "STREET_NUMBER_SFX",
    "AVS_STREET_NAME",
    "AVS_STREET_SFX",
    "UNIT",
    "UNIT_SFX",
    "FIRST_NAME",
    "LAST_NAME",
    "CONTRACTORPHONE",
    "COMPANY_NAME",
    "STREET_NUMBER",
    "STREET",
    "STREET_SUFFIX",
    "CITY",
    "STATE",
    "ZIP_CODE",
    "CONTACT_NAME",
    "CONTACT_PHONE",
    "DESCRIPTION",
];

/// How many rows share one number.
pub(super) const REPEATS: [(u64, u32); 6] = [(1, 1_891), (2, 106), (3, 13), (4, 2), (5, 2), (6, 1)];

pub(super) const FORMS: [(i64, u32); 8] = [(8, 1_912), (3, 182), (4, 36), (6, 11), (7, 9), (2, 8), (1, 6), (5, 2)];

/// A use, and the usual number of its units and stories.
pub(super) const USES: [((&str, i64, i64), u32); 13] = [
    (("1 FAMILY DWELLING", 1, 2), 628),
    (("APARTMENTS", 12, 4), 530),
    (("OFFICE", 0, 14), 375),
    (("2 FAMILY DWELLING", 2, 3), 250),
    (("RETAIL SALES", 0, 2), 105),
    (("FOOD/BEVERAGE HNDLNG", 0, 2), 59),
    (("VACANT LOT", 0, 0), 48),
    (("", 0, 0), 34),
    (("TOURIST HOTEL/MOTEL", 120, 9), 33),
    (("WAREHOUSE NO FRNITUR", 0, 1), 10),
    (("RESIDENTIAL HOTEL", 40, 5), 9),
    (("MANUFACTURING", 0, 2), 8),
    (("PRKNG GARAGE/PUBLIC", 0, 4), 7),
];

/// Twentieths of the estimated costs in dollars, without the symbolic cost of 1.
pub(super) const COSTS: [i64; 21] = [
    50, 1_000, 2_500, 3_500, 5_000, 6_000, 8_000, 9_760, 10_500, 13_300, 15_000, 20_000, 24_000, 30_000, 38_000,
    49_100, 65_000, 97_000, 175_000, 400_000, 15_000_000,
];

/// Tenths of the days between filing and issue.
pub(super) const LAGS: [i64; 11] = [0, 0, 0, 0, 0, 1, 4, 13, 35, 151, 1_036];

/// Days until a permit expires.
pub(super) const TERMS: [(i64, u32); 5] = [(182, 728), (365, 663), (121, 638), (730, 93), (912, 27)];

pub(super) const STREETS: [((&str, &str), u32); 40] = [
    (("CALIFORNIA", "ST"), 70),
    (("MARKET", "ST"), 61),
    (("MISSION", "ST"), 48),
    (("MONTGOMERY", "ST"), 35),
    (("POST", "ST"), 25),
    (("EMBARCADERO CENTER", "*"), 24),
    (("SUMMIT", "WY"), 24),
    (("FREMONT", "ST"), 21),
    (("PACIFIC", "AV"), 20),
    (("HOWARD", "ST"), 18),
    (("17TH", "ST"), 18),
    (("03RD", "ST"), 17),
    (("BROADWAY", "*"), 17),
    (("DIVISADERO", "ST"), 16),
    (("02ND", "ST"), 16),
    (("BUSH", "ST"), 16),
    (("PINE", "ST"), 16),
    (("NORTH POINT", "ST"), 16),
    (("VAN NESS", "AV"), 15),
    (("16TH", "ST"), 15),
    (("VALENCIA", "ST"), 15),
    (("FOLSOM", "ST"), 14),
    (("GRANT", "AV"), 14),
    (("SACRAMENTO", "ST"), 13),
    (("24TH", "ST"), 13),
    (("CHESTNUT", "ST"), 13),
    (("OFARRELL", "ST"), 13),
    (("LOMBARD", "ST"), 13),
    (("CLEMENT", "ST"), 12),
    (("20TH", "AV"), 11),
    (("FILLMORE", "ST"), 11),
    (("09TH", "AV"), 10),
    (("STOCKTON", "ST"), 10),
    (("23RD", "AV"), 10),
    (("BAYSHORE", "BL"), 20),
    (("PORTOLA", "DR"), 20),
    (("BELLA VISTA", "WY"), 6),
    (("JUNIPERO SERRA", "BL"), 12),
    (("CASTELO", "AV"), 6),
    (("TWIN PEAKS", "BL"), 8),
];

/// Suffixes of house numbers.
pub(super) const NUMBER_SUFFIXES: [(&str, u32); 6] = [("", 2_151), ("A", 10), ("B", 2), ("C", 1), ("V", 1), ("½", 1)];

pub(super) const UNIT_SUFFIXES: [(&str, u32); 6] =
    [("", 2_147), ("A", 5), ("B-A", 4), ("C102", 4), ("FRONT UNIT", 3), ("Commercial", 2)];

pub(super) const WORKS: [(&str, u32); 20] = [
    ("REROOFING", 100),
    ("REROOFING: APPLY FOAM OVERLAY TO ROOF.", 20),
    ("reroofing", 12),
    ("REPLACE WINDOWS IN KIND, NOT VISIBLE FROM THE STREET", 60),
    ("KITCHEN AND BATHROOM REMODEL, NO STRUCTURAL WORK", 80),
    ("TENANT IMPROVEMENT ON FLOOR #1: NEW PARTITIONS, FINISHES AND LIGHTING", 70),
    ("MODIFICATION OF FIRE SPRINKLER SYSTEM, RELOCATE HEADS", 60),
    ("FIRE ALARM: ADD HORN STROBES TO EXISTING PANEL", 40),
    ("SOFT STORY RETROFIT PER SFBC CHAPTER 4D", 40),
    ("DRY ROT REPAIR AT REAR STAIRS, LESS THAN 50%", 40),
    ("INSTALL NEW FURNACE & DUCTS", 20),
    ("REVISION TO PERMIT #1: ADD BATHROOM ON SECOND FLOOR", 30),
    ("VOLUNTARY SEISMIC STRENGTHENING AT GARAGE", 25),
    ("TO ERECT SIGN, ELECTRIC, SINGLE FACED", 20),
    ("HORIZONTAL ADDITION AT REAR, NEW DECK AND STAIR", 25),
    ("NEW CAFÉ COUNTER; façade unchanged", 4),
    ("REPAIR STUCCO AT FRONT OF BUILDING \"IN KIND\"", 20),
    ("COMPLY WITH NOV, REMOVE UNIT AT GROUND FLOOR", 15),
    ("DEMOLISH TWO STORY BUILDING", 8),
    ("INSTALL ROOF MOUNTED SOLAR SYSTEM, 4½ KW", 30),
];

pub(super) const DETAILS: [&str; 10] = [
    "N/A MAHER ORDINANCE.",
    "ALL WORK PER PLANS.",
    "NO CHANGE OF USE.",
    "U-FACTOR: 0.32 MAX.",
    "WORK IN UNIT #2 ONLY.",
    "MEP UNDER SEPARATE PERMIT.",
    "NO EXTERIOR WORK.",
    "SAME SIZE  SAME LOCATION.",
    "EXISTING CONDITIONS TO REMAIN.",
    "REF PRIOR PERMIT.",
];

/// People and firms that do not exist.
pub(super) const FIRST_NAMES: [&str; 8] = ["ALDER", "BIRCH", "CEDAR", "HAZEL", "JUNIPER", "LAUREL", "OLIVE", "ROWAN"];
pub(super) const LAST_NAMES: [&str; 8] =
    ["SAMPLEMAN", "EXAMPLESON", "PLACEHOLDER", "TESTERLY", "MOCKFORD", "FIXTURE", "DUMMYDALE", "STUBBSON"];
pub(super) const TRADES: [&str; 6] = [
    "EXAMPLE ROOFING",
    "SAMPLE BUILDERS",
    "PLACEHOLDER ELECTRIC",
    "INVENTED PLUMBING",
    "FICTIONAL GLASS",
    "MOCK SPRINKLERS",
];
pub(super) const CITIES: [&str; 4] = ["SAN FRANCISCO", "HAYWARD", "OAKLAND", "DALY CITY"];
