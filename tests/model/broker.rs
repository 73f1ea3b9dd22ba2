//! Brokers, sets of them, and the links between them, as bits. What is asked of them again and again stands in tables.

pub(crate) const BROKERS: u8 = 5;
pub(crate) const NOBODY: u8 = 0;

/// A set of brokers, whose ids are 1 to 5.
pub(crate) type Brokers = u8;

/// A set of links between two brokers each.
pub(crate) type Links = u16;

pub(crate) const ALL: Brokers = (1 << BROKERS) - 1;
const EVERY_LINK: usize = 1 << (BROKERS * (BROKERS - 1) / 2);

pub(crate) const fn one(id: u8) -> Brokers {
    1 << (id - 1)
}

pub(crate) const fn has(set: Brokers, id: u8) -> bool {
    id != NOBODY && set & one(id) != 0
}

pub(crate) fn one_or_none(id: u8) -> Brokers {
    if id == NOBODY { 0 } else { one(id) }
}

pub(crate) fn members(mut set: Brokers) -> impl Iterator<Item = u8> + Clone {
    std::iter::from_fn(move || {
        let id = (set != 0).then(|| set.trailing_zeros() as u8 + 1);
        set &= set.wrapping_sub(1);
        id
    })
}

/// A link between two brokers.
pub(crate) const fn link(a: u8, b: u8) -> Links {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    1 << ((high - 1) * (high - 2) / 2 + low - 1)
}

/// All links between one of these and one of those.
pub(crate) fn links_between(some: Brokers, others: Brokers) -> Links {
    let pairs = members(some).flat_map(|a| members(others).map(move |b| (a, b)));
    pairs.filter(|(a, b)| a != b).fold(0, |set, (a, b)| set | link(a, b))
}

/// All links within a set.
pub(crate) const fn links_among(set: Brokers) -> Links {
    static AMONG: [Links; 1 << BROKERS] = {
        let mut all = [0; 1 << BROKERS];
        let mut set = 0;
        while set < all.len() {
            let mut high = 2;
            while high <= BROKERS {
                let mut low = 1;
                while low < high {
                    if has(set as Brokers, high) && has(set as Brokers, low) {
                        all[set] |= link(low, high);
                    }
                    low += 1;
                }
                high += 1;
            }
            set += 1;
        }
        all
    };
    AMONG[set as usize]
}

/// Those whose link with a broker is in a set.
pub(crate) const fn at_the_end_of(links: Links, from: u8) -> Brokers {
    static ENDS: [[Brokers; EVERY_LINK]; BROKERS as usize] = {
        let mut all = [[0; EVERY_LINK]; BROKERS as usize];
        let mut links = 0;
        while links < EVERY_LINK {
            let mut from = 1;
            while from <= BROKERS {
                let mut to = 1;
                while to <= BROKERS {
                    if to != from && links as Links & link(from, to) != 0 {
                        all[from as usize - 1][links] |= one(to);
                    }
                    to += 1;
                }
                from += 1;
            }
            links += 1;
        }
        all
    };
    ENDS[from as usize - 1][links as usize]
}

/// Other names for brokers that differ in nothing but their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renaming {
    /// None.
    None,
    /// Brokers 1 and 5, which hold nothing, change places.
    Ends,
    /// Brokers 2 and 3 do, which differ in which partition they prefer.
    Middle,
    /// Both.
    Both,
}

impl Renaming {
    pub(crate) const EVERY: [Self; 4] = [Self::None, Self::Ends, Self::Middle, Self::Both];

    /// The partitions change places.
    pub(crate) fn swaps_partitions(self) -> bool {
        matches!(self, Self::Middle | Self::Both)
    }

    pub(crate) const fn name(self, id: u8) -> u8 {
        match (id, self) {
            (1 | 5, Self::Ends | Self::Both) => 6 - id,
            (2 | 3, Self::Middle | Self::Both) => 5 - id,
            _ => id,
        }
    }

    pub(crate) fn set(self, set: Brokers) -> Brokers {
        static SETS: [[Brokers; 1 << BROKERS]; 4] = {
            let mut all = [[0; 1 << BROKERS]; 4];
            let mut renaming = 0;
            while renaming < 4 {
                let mut set = 0;
                while set < 1 << BROKERS {
                    let mut id = 1;
                    while id <= BROKERS {
                        if has(set as Brokers, id) {
                            all[renaming][set] |= one(Renaming::EVERY[renaming].name(id));
                        }
                        id += 1;
                    }
                    set += 1;
                }
                renaming += 1;
            }
            all
        };
        SETS[self as usize][usize::from(set)]
    }

    pub(crate) fn links(self, links: Links) -> Links {
        static LINKS: [[Links; EVERY_LINK]; 4] = {
            let mut all = [[0; EVERY_LINK]; 4];
            let mut renaming = 0;
            while renaming < 4 {
                let of = Renaming::EVERY[renaming];
                let mut links = 0;
                while links < EVERY_LINK {
                    let mut high = 2;
                    while high <= BROKERS {
                        let mut low = 1;
                        while low < high {
                            if links as Links & link(low, high) != 0 {
                                all[renaming][links] |= link(of.name(low), of.name(high));
                            }
                            low += 1;
                        }
                        high += 1;
                    }
                    links += 1;
                }
                renaming += 1;
            }
            all
        };
        LINKS[self as usize][usize::from(links)]
    }
}
