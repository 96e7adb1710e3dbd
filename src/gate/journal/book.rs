//! The journal's file: whole lines appended, turned over by size, and never left with half a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::Audit;

/// The file as it is, and where its predecessors go.
pub(super) struct Book {
    path: PathBuf,
    bytes_max: u64,
    keep: usize,
    page: Page,
    /// The next file could not be begun, and that has been told.
    is_stuck: bool,
}

/// One open file.
struct Page {
    file: File,
    /// Not a device or a pipe: it has a length, and can be shortened.
    is_file: bool,
    length: u64,
    /// Half a line stands at its end: the next one must not continue it.
    is_torn: bool,
}

/// What could not be written.
pub(super) struct Short {
    /// Bytes that stand in the file, whole lines all.
    pub(super) whole: usize,
    pub(super) error: io::Error,
}

impl Page {
    fn open(path: &Path) -> io::Result<Self> {
        // Readable for the group, whose log shipper it may be; it names users and files.
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)?;
        let facts = file.metadata()?;
        let (is_file, length) = (facts.is_file(), facts.len());
        let mut last = [b'\n'];
        if is_file && length > 0 {
            file.read_exact_at(&mut last, length - 1)?;
        }
        Ok(Self {
            file,
            is_file,
            length,
            is_torn: last != *b"\n",
        })
    }

    /// Appends lines; where there is no room for all, as many as there is room for, and never half of one.
    fn append(&mut self, lines: &[u8]) -> Result<(), Short> {
        let fault = |whole| move |error| Short { whole, error };
        if std::mem::take(&mut self.is_torn) {
            self.file.write_all(b"\n").map_err(|error| {
                self.is_torn = true;
                fault(0)(error)
            })?;
            self.length += 1;
        }
        let mut done = 0;
        while done < lines.len() {
            let error = match self.file.write(&lines[done..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    done += written;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let end = lines[..done].iter().rposition(|&byte| byte == b'\n');
            let whole = end.map_or(0, |end| end + 1);
            self.length += whole as u64;
            self.is_torn =
                whole < done && (!self.is_file || self.file.set_len(self.length).is_err());
            return Err(fault(whole)(error));
        }
        self.length += done as u64;
        Ok(())
    }
}

impl Book {
    pub(super) fn open(audit: &Audit) -> io::Result<Self> {
        Ok(Self {
            path: audit.file.value.clone(),
            bytes_max: audit.max_bytes as u64,
            keep: audit.keep,
            page: Page::open(&audit.file.value)?,
            is_stuck: false,
        })
    }

    /// Appends whole lines, each in a file that has room for it.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), Short> {
        let mut done = 0;
        while done < lines.len() {
            let rest = &lines[done..];
            let part = self.part(rest);
            let written = self.page.append(&rest[..part]);
            written.map_err(|short| Short {
                whole: done + short.whole,
                ..short
            })?;
            done += part;
        }
        Ok(())
    }

    /// How much of these lines the file takes, which is a new one where the old one has no room for the first of them.
    fn part(&mut self, lines: &[u8]) -> usize {
        if !self.page.is_file {
            return lines.len();
        }
        let part = fitting(lines, self.bytes_max.saturating_sub(self.page.length));
        if part > 0 {
            return part;
        }
        if self.page.length > 0 {
            match self.turn_over() {
                Ok(()) => self.is_stuck = false,
                // A file that grows too large is better than records that are lost.
                Err(error) => {
                    if !std::mem::replace(&mut self.is_stuck, true) {
                        let file = self.path.display();
                        tracing::error!(%file, %error, "the journal cannot begin its next file: it goes on in this one");
                    }
                    return lines.len();
                }
            }
        }
        match fitting(lines, self.bytes_max) {
            // A line that is longer than a file has one of its own.
            0 => {
                let end = lines.iter().position(|&byte| byte == b'\n');
                end.map_or(lines.len(), |end| end + 1)
            }
            part => part,
        }
    }

    /// The file becomes `.1`, that one `.2`, and so on; the last one goes.
    fn turn_over(&mut self) -> io::Result<()> {
        self.page.file.sync_data()?;
        // First what can fail for want of room.
        let (next, page) = (self.beside("next"), Page::open(&self.beside("next"))?);
        for number in (1..self.keep).rev() {
            match std::fs::rename(self.beside(number), self.beside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match std::fs::rename(&self.path, self.beside(1)) {
            // Somebody has taken it away already.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::rename(next, &self.path)?,
        }
        self.page = page;
        Ok(())
    }

    fn beside(&self, suffix: impl core::fmt::Display) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{suffix}"));
        name.into()
    }

    /// Whatever stands under the name now, made if nothing does; on a fault the old file goes on.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.page = Page::open(&self.path)?;
        Ok(())
    }

    /// Everything that is written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.page.is_file {
            self.page.file.sync_data()?;
        }
        Ok(())
    }
}

/// The bytes of as many whole lines as there is room for.
fn fitting(lines: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    let end = lines[..room].iter().rposition(|&byte| byte == b'\n');
    end.map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Format;
    use crate::config::Located;

    fn audit(path: &Path, max_bytes: usize, keep: usize) -> Audit {
        Audit {
            file: Located {
                value: path.to_owned(),
                place: None,
                key: "audit.file".to_owned(),
            },
            format: Format::Json,
            max_bytes,
            keep,
        }
    }

    fn read(path: &Path, suffix: &str) -> Option<String> {
        let name = format!("{}{suffix}", path.display());
        std::fs::read_to_string(name).ok()
    }

    fn append(book: &mut Book, lines: &str) {
        assert!(book.append(lines.as_bytes()).is_ok(), "{lines}");
    }

    #[test]
    fn files_are_turned_over_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let mut book = Book::open(&audit(&path, 8, 2)).ok().unwrap();
        for lines in ["1234\n", "56\n", "78\n", "longer than a file\n", "9\n"] {
            append(&mut book, lines);
        }
        let found = ["", ".1", ".2", ".3"].map(|suffix| read(&path, suffix));
        let expected = [
            Some("9\n"),
            Some("longer than a file\n"),
            Some("78\n"),
            None,
        ];
        assert_eq!(found.each_ref().map(Option::as_deref), expected);
    }

    #[test]
    fn a_batch_is_spread_over_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let mut book = Book::open(&audit(&path, 8, 3)).ok().unwrap();
        append(&mut book, "123\n");
        append(&mut book, "456\n78\nlonger than a file\n9\n");
        let found = ["", ".1", ".2", ".3"].map(|suffix| read(&path, suffix));
        let expected = ["9\n", "longer than a file\n", "78\n", "123\n456\n"];
        assert_eq!(found.each_ref().map(Option::as_deref), expected.map(Some));
    }

    #[test]
    fn half_a_line_of_a_predecessor_is_ended_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        std::fs::write(&path, "whole\nhal").unwrap();
        let mut book = Book::open(&audit(&path, 1000, 1)).ok().unwrap();
        append(&mut book, "next\n");
        assert_eq!(read(&path, "").as_deref(), Some("whole\nhal\nnext\n"));
    }

    #[test]
    fn a_full_device_takes_nothing_and_says_so() {
        let mut book = Book::open(&audit(Path::new("/dev/full"), 1000, 1))
            .ok()
            .unwrap();
        let short = book.append(b"line\n").err().unwrap();
        assert_eq!(short.whole, 0);
        assert_eq!(short.error.kind(), io::ErrorKind::StorageFull);
    }
}
