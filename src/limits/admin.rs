//! Bounds of what the admin server may ask of a core at once.

/// Sessions that a core describes in one answer; a page of more is asked for in pieces, and the core serves between them. Each
/// takes a microsecond at most: a core is kept for less than the 100 that a scrape may cost it.
pub const ADMIN_SESSIONS_PER_ANSWER_MAX: usize = 50;

const _: () = assert!(ADMIN_SESSIONS_PER_ANSWER_MAX <= super::ADMIN_SESSIONS_PER_PAGE_MAX);
