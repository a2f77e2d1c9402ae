//! The words and seasons of the two shops: departments, kinds of products, brands, adjectives.

use crate::world::{Department, FASHION, GADGET, STAPLE, TRADE, Temper};

/// A category and what it is like.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Typical price.
    pub(crate) price: f64,
    /// Month of the seasonal peak, 0 (1 January) to 12.
    pub(crate) peak_month: f64,
    /// Log ratio of the peak to the mean of the year.
    pub(crate) swing: f64,
    /// How much it is bought as a gift: height of the holidays' peaks.
    pub(crate) gift: f64,
    pub(crate) nouns: &'static [&'static str],
}

const fn kind(
    name: &'static str,
    price: f64,
    (peak_month, swing, gift): (f64, f64, f64),
    nouns: &'static [&'static str],
) -> Kind {
    Kind { name, price, peak_month, swing, gift, nouns }
}

const fn department(
    (name, code): (&'static str, &'static str),
    share: f64,
    temper: Temper,
    kinds: &'static [Kind],
) -> Department {
    Department { name, code, share, temper, kinds }
}

/// Departments of the household shop.
pub(crate) static HOUSEHOLD: [Department; 7] = [
    department(("Kitchen", "KIT"), 0.2, STAPLE, &KITCHEN),
    department(("Living", "LIV"), 0.2, STAPLE, &LIVING),
    department(("Garden", "GAR"), 0.13, STAPLE, &GARDEN),
    department(("Stationery", "STA"), 0.12, STAPLE, &STATIONERY),
    department(("Toys", "TOY"), 0.13, GADGET, &TOYS),
    department(("Electronics", "ELE"), 0.12, GADGET, &ELECTRONICS),
    department(("Beauty", "BEA"), 0.1, STAPLE, &BEAUTY),
];

/// Departments of the fashion and trade marketplace.
pub(crate) static FASHION_AND_TRADE: [Department; 7] = [
    department(("Women", "WOM"), 0.2, FASHION, &WOMEN),
    department(("Men", "MEN"), 0.14, FASHION, &MEN),
    department(("Kids", "KID"), 0.1, FASHION, &KIDS),
    department(("Shoes", "SHO"), 0.12, FASHION, &SHOES),
    department(("Packaging", "PAC"), 0.15, TRADE, &PACKAGING),
    department(("Workshop", "WOR"), 0.16, TRADE, &WORKSHOP),
    department(("Catering", "CAT"), 0.13, TRADE, &CATERING),
];

const KITCHEN: [Kind; 5] = [
    kind("Cookware", 32.0, (11.0, 0.15, 0.3), &["casserole", "frying pan", "wok", "stock pot"]),
    kind("Tableware", 9.0, (11.5, 0.1, 0.5), &["mug", "plate", "bowl", "teapot", "jug"]),
    kind("Baking", 12.0, (11.3, 0.4, 0.4), &["cake tin", "mould", "cake stand", "rolling pin"]),
    kind("Kitchen tools", 7.0, (5.0, 0.1, 0.2), &["peeler", "whisk", "grater", "6\" sieve"]),
    kind("Storage", 11.0, (0.6, 0.25, 0.1), &["jar", "lunch box", "bread bin", "spice rack"]),
];
const LIVING: [Kind; 5] = [
    kind("Candles", 8.0, (11.2, 0.6, 0.9), &["scented candle", "tea light", "lantern"]),
    kind("Cushions", 18.0, (9.5, 0.2, 0.2), &["cushion", "cushion cover", "throw", "bolster"]),
    kind("Frames", 14.0, (11.5, 0.1, 0.5), &["photo frame", "mirror", "wall clock"]),
    kind("Lamps", 38.0, (10.5, 0.4, 0.2), &["table lamp", "floor lamp", "light chain"]),
    kind("Decorations", 6.0, (11.4, 1.3, 1.0), &["bauble", "wreath", "garland", "star"]),
];
const GARDEN: [Kind; 4] = [
    kind("Planters", 16.0, (4.6, 0.8, 0.1), &["planter", "flower pot", "window box", "trellis"]),
    kind("Garden tools", 21.0, (4.3, 0.7, 0.1), &["trowel", "secateurs", "rake", "hose"]),
    kind("Outdoor living", 55.0, (6.0, 1.0, 0.0), &["deckchair", "parasol", "hammock", "grill"]),
    kind("Birds", 13.0, (0.5, 0.5, 0.2), &["bird feeder", "nest box", "bird bath"]),
];
const STATIONERY: [Kind; 4] = [
    kind("Notebooks", 7.0, (8.6, 0.5, 0.2), &["notebook", "diary", "sketch book", "planner"]),
    kind("Pens", 5.0, (8.7, 0.5, 0.2), &["pen", "fineliner set", "pencil case", "marker"]),
    kind("Wrapping", 4.0, (11.5, 0.8, 1.0), &["gift wrap", "ribbon", "gift bag", "tissue"]),
    kind("Cards", 3.0, (11.4, 0.4, 0.9), &["card", "postcard set", "invitation"]),
];
const TOYS: [Kind; 4] = [
    kind("Wooden toys", 19.0, (11.4, 0.3, 0.9), &["train", "blocks", "puzzle", "doll's house"]),
    kind("Plush", 15.0, (11.4, 0.2, 0.9), &["bear", "rabbit", "owl", "dinosaur"]),
    kind("Craft kits", 13.0, (10.8, 0.3, 0.6), &["knitting kit", "paint set", "bead kit"]),
    kind("Outdoor play", 24.0, (6.2, 0.9, 0.1), &["kite", "ball", "sand set", "water pistol"]),
];
const ELECTRONICS: [Kind; 4] = [
    kind("Audio", 60.0, (11.2, 0.2, 0.6), &["headphones", "speaker", "radio", "earbuds"]),
    kind("Charging", 22.0, (7.0, 0.1, 0.2), &["charger", "power bank", "cable", "dock"]),
    kind("Smart home", 45.0, (10.8, 0.3, 0.4), &["sensor", "smart plug", "camera", "hub"]),
    kind("Cooling & heating", 48.0, (6.8, 1.1, 0.0), &["fan", "air cooler", "humidifier"]),
];
const BEAUTY: [Kind; 4] = [
    kind("Bath", 9.0, (11.4, 0.2, 0.7), &["bath salt", "soap", "sponge", "bath bomb"]),
    kind("Skin care", 17.0, (1.0, 0.2, 0.3), &["hand cream", "face oil", "lip balm"]),
    kind("Sun care", 14.0, (6.3, 1.2, 0.0), &["sun cream", "after sun", "self tan"]),
    kind("Hair", 12.0, (5.0, 0.05, 0.2), &["brush", "shampoo bar", "hair clip"]),
];
const WOMEN: [Kind; 5] = [
    kind("Dresses", 49.0, (5.2, 0.9, 0.2), &["dress", "maxi dress", "skirt", "jumpsuit"]),
    kind("Knitwear", 44.0, (10.6, 1.2, 0.5), &["cardigan", "jumper", "roll neck"]),
    kind("Coats", 95.0, (10.3, 1.5, 0.1), &["coat", "parka", "trench", "cape"]),
    kind("Tops", 24.0, (5.5, 0.5, 0.1), &["blouse", "top", "T-shirt", "camisole"]),
    kind("Swimwear", 30.0, (6.2, 1.8, 0.0), &["bikini", "swimsuit", "sarong"]),
];
const MEN: [Kind; 4] = [
    kind("Shirts", 36.0, (4.8, 0.4, 0.3), &["shirt", "polo", "linen shirt"]),
    kind("Outerwear", 90.0, (10.2, 1.4, 0.1), &["jacket", "down vest", "raincoat"]),
    kind("Jeans", 58.0, (9.0, 0.3, 0.1), &["jeans", "chinos", "joggers"]),
    kind("Shorts", 29.0, (6.0, 1.6, 0.0), &["shorts", "swim shorts", "bermudas"]),
];
const KIDS: [Kind; 3] = [
    kind("School", 18.0, (8.3, 1.3, 0.0), &["backpack", "polo", "trainers bag"]),
    kind("Baby", 16.0, (4.0, 0.2, 0.3), &["romper", "bib", "sleep bag"]),
    kind("Costumes", 25.0, (10.0, 1.6, 0.3), &["witch costume", "knight set", "mask"]),
];
const SHOES: [Kind; 3] = [
    kind("Sandals", 42.0, (5.6, 1.6, 0.0), &["sandal", "espadrille", "slides"]),
    kind("Boots", 98.0, (10.4, 1.4, 0.2), &["boot", "ankle boot", "rain boot"]),
    kind("Trainers", 75.0, (3.8, 0.3, 0.3), &["trainer", "runner", "slip-on"]),
];
const PACKAGING: [Kind; 3] = [
    kind("Boxes", 1.2, (10.8, 0.5, 0.3), &["carton", "mailer box", "gift box"]),
    kind("Films & tapes", 3.5, (10.8, 0.3, 0.1), &["parcel tape", "stretch film", "bubble wrap"]),
    kind("Labels", 6.0, (11.0, 0.2, 0.2), &["label roll", "tag", "seal"]),
];
const WORKSHOP: [Kind; 4] = [
    kind("Fasteners", 0.4, (5.0, 0.2, 0.0), &["bolt M8", "screw 4x40", "anchor", "washer"]),
    kind("Abrasives", 2.2, (4.0, 0.1, 0.0), &["sanding disc", "grinding wheel", "wool pad"]),
    kind("Workwear", 27.0, (9.5, 0.4, 0.1), &["overall", "safety vest", "work glove"]),
    kind("Sealants", 5.5, (6.5, 0.6, 0.0), &["silicone", "mounting foam", "acrylic filler"]),
];
const CATERING: [Kind; 3] = [
    kind("Disposables", 0.15, (6.5, 0.6, 0.3), &["cup", "lid", "napkin", "tray"]),
    kind("Glassware", 2.6, (4.5, 0.4, 0.2), &["tumbler", "wine glass", "carafe"]),
    kind("Hygiene", 4.8, (1.0, 0.1, 0.0), &["wipes", "gloves box", "hand soap refill"]),
];

/// Adjectives with how they stretch a life and what they do to its level (logarithm).
pub(crate) const ADJECTIVES: [(&str, f64, f64); 14] = [
    ("classic", 1.7, 0.1),
    ("everyday", 1.5, 0.3),
    ("limited edition", 0.45, 0.3),
    ("trend", 0.6, 0.2),
    ("vintage", 1.1, 0.0),
    ("rustic", 1.0, 0.0),
    ("enamel", 1.0, 0.0),
    ("striped", 0.9, 0.0),
    ("hand-made", 1.0, -0.3),
    ("mini", 1.0, 0.1),
    ("large", 1.0, -0.1),
    ("eco", 1.1, -0.1),
    ("premium", 1.2, -0.3),
    ("retro", 0.8, 0.0),
];

/// Colours and patterns.
pub(crate) const COLOURS: [&str; 12] = [
    "blue",
    "sage green",
    "ivory",
    "black",
    "red & white",
    "rose",
    "mustard",
    "grey",
    "teal",
    "natural",
    "polka dot",
    "floral",
];

/// Beginnings and ends of brand names.
pub(crate) const BRAND_HEADS: [&str; 16] = [
    "Nor", "Al", "Ker", "Vel", "Mira", "Tor", "Lin", "Bel", "Fjor", "Oak", "San", "Hol", "Pim",
    "Ric", "Ula", "Zed",
];
/// See [`BRAND_HEADS`].
pub(crate) const BRAND_TAILS: [&str; 12] =
    ["vik", "ano", "mann", "dora", "well", "by & Co", "ton", "esse", "ford", "ika", "hus", "line"];
