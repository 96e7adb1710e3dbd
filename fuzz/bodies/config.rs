//! A configuration, whoever wrote it: a profile from a partner's wiki, or half a file.

use std::path::Path;

use sluicegate::config;

/// It is read, or complained about in words that name a place in it and a cure.
pub(super) fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split('\n').count();
    match config::read(&text) {
        Ok(read) => {
            assert!(!read.listeners.is_empty() && !read.pools.is_empty());
            assert_eq!(config::read(&text).as_ref(), Ok(&read));
            let _moved = read.relative_to(Path::new("/etc/sluicegate"));
        }
        Err(complaints) => {
            assert!(!complaints.is_empty(), "refused without a word");
            for complaint in &complaints {
                assert!(!complaint.problem.is_empty() && !complaint.cure.is_empty());
                if let Some(place) = complaint.place {
                    assert!((1..=lines).contains(&place.line), "{complaint}");
                    assert!(place.column >= 1);
                }
            }
        }
    }
}
