//! The smaller table: what the operator can choose, each choice with the transfers that it is about.

use crate::cells::{
    Arrival, Cell, Empty, Ending, Family, Manner, Mode, Policy, Prot, Size, Tls, Unfinished, Verb,
    Way,
};

/// One choice with everything that is combined with it.
struct Choice {
    policy: Policy,
    verbs: &'static [Verb],
    sizes: &'static [Size],
    client_prots: &'static [Prot],
    endings: &'static [Ending],
    backend_prots: &'static [Prot],
    manners: &'static [Manner],
}

const DOWNLOADS: &[Verb] = &[Verb::Retr, Verb::List];
const UPLOADS: &[Verb] = &[Verb::Stor, Verb::Appe];
const SIZES: &[Size] = &[Size::Empty, Size::Record];
const PRIVATE: &[Prot] = &[Prot::P];
const DEFAULT: Policy = Policy::DEFAULT;

/// An upload that ends unfinished.
const fn of_listener(client_unfinished: Unfinished) -> Choice {
    Choice {
        policy: Policy {
            client_unfinished,
            ..DEFAULT
        },
        verbs: UPLOADS,
        sizes: SIZES,
        client_prots: PRIVATE,
        endings: &[Ending::Clean, Ending::Unfinished],
        backend_prots: &Prot::ALL,
        manners: &[Manner::Well, Manner::Careless],
    }
}

/// A download that ends unfinished.
const fn of_pool(backend_unfinished: Unfinished) -> Choice {
    Choice {
        policy: Policy {
            backend_unfinished,
            ..DEFAULT
        },
        verbs: DOWNLOADS,
        sizes: SIZES,
        client_prots: &Prot::ALL,
        endings: &[Ending::Clean],
        backend_prots: PRIVATE,
        manners: &[Manner::Well, Manner::Careless, Manner::Truncated226],
    }
}

/// A success without a byte.
const fn of_empty(empty: Empty) -> Choice {
    Choice {
        policy: Policy { empty, ..DEFAULT },
        verbs: DOWNLOADS,
        sizes: &[Size::Empty, Size::Byte],
        client_prots: PRIVATE,
        endings: &[Ending::Clean],
        backend_prots: &Prot::ALL,
        manners: &[
            Manner::Well,
            Manner::Careless,
            Manner::BareClose,
            Manner::BareReset,
            Manner::NeverTake,
        ],
    }
}

/// An upload that is closed without a handshake.
const fn of_bare(bare_uploads: bool) -> Choice {
    Choice {
        policy: Policy {
            bare_uploads,
            ..DEFAULT
        },
        verbs: UPLOADS,
        sizes: SIZES,
        client_prots: PRIVATE,
        endings: &[Ending::Clean, Ending::Bare],
        backend_prots: &Prot::ALL,
        manners: &[Manner::Well],
    }
}

/// All of them, each choice as a full product.
pub(crate) fn cells() -> Vec<Cell> {
    let choices = [
        of_listener(Unfinished::Mirror),
        of_listener(Unfinished::Repair),
        of_listener(Unfinished::Reject),
        of_pool(Unfinished::Mirror),
        of_pool(Unfinished::Repair),
        of_pool(Unfinished::Reject),
        of_empty(Empty::Complete),
        of_empty(Empty::Verify),
        of_empty(Empty::Reject),
        of_bare(false),
        of_bare(true),
    ];
    choices.iter().flat_map(product).collect()
}

fn product(choice: &Choice) -> Vec<Cell> {
    let way = |prot| Way {
        mode: Mode::Epsv,
        prot,
        tls: Tls::V13,
        family: Family::V4,
    };
    let mut cells = Vec::new();
    for &verb in choice.verbs {
        for &size in choice.sizes {
            for &client in choice.client_prots {
                for &ending in choice.endings {
                    for &backend in choice.backend_prots {
                        cells.extend(choice.manners.iter().map(|manner| Cell {
                            verb,
                            size,
                            client: way(client),
                            arrival: Arrival::Behind,
                            ending,
                            backend: way(backend),
                            manner: *manner,
                            policy: choice.policy,
                        }));
                    }
                }
            }
        }
    }
    cells
}
