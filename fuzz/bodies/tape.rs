//! Bytes of an input as the choices of a test.

/// An input that is used up from its front. Where it has ended every choice is the first one.
pub(super) struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        byte
    }

    pub(super) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// At most so many bytes.
    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes up to a zero, which is left out.
    pub(super) fn string(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == 0);
        let taken = self.take(end.unwrap_or(self.0.len()));
        self.take(1);
        taken
    }

    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Hands over `bytes` in the pieces that the tape says.
pub(super) fn in_pieces<'b>(
    tape: &mut Tape<'_>,
    mut bytes: &'b [u8],
    mut hear: impl FnMut(&'b [u8]),
) {
    let piece = usize::from(tape.byte());
    // None, or every piece of one length: what a boundary does is found with one as well as with many.
    let piece = if piece == 0 {
        bytes.len().max(1)
    } else {
        piece
    };
    while !bytes.is_empty() {
        let (part, rest) = bytes.split_at(piece.min(bytes.len()));
        hear(part);
        bytes = rest;
    }
}
