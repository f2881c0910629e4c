//! Lines out of bytes that come in pieces, none longer than a limit.

/// A line was longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineTooLong;

/// What has come of lines that are not whole yet.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// So many of them hold no end of a line.
    searched: usize,
    limit: usize,
}

impl LineBuffer {
    /// Returns an empty one for lines of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), searched: 0, limit }
    }

    /// Adds what has come.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Tells whether there is no room for more before a line is taken.
    pub fn is_full(&self) -> bool {
        self.bytes.len() > self.limit
    }

    /// Takes the next whole line, without its end. Bytes that are no text become U+FFFD.
    ///
    /// # Errors
    /// When it is too long; what follows cannot be told from it any more.
    pub fn take(&mut self) -> Result<Option<String>, LineTooLong> {
        let end = self.bytes[self.searched..].iter().position(|&byte| byte == b'\n');
        let Some(end) = end.map(|end| self.searched + end) else {
            self.searched = self.bytes.len();
            return if self.is_full() { Err(LineTooLong) } else { Ok(None) };
        };
        if end > self.limit {
            return Err(LineTooLong);
        }
        let rest = self.bytes.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        self.searched = 0;
        line.pop();
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_in_whatever_pieces_they_come() {
        let text = b"one\n\ntw\xffo\nrest";
        for size in 1..text.len() {
            let mut lines = LineBuffer::new(8);
            let mut taken = Vec::new();
            for piece in text.chunks(size) {
                lines.add(piece);
                while let Some(line) = lines.take().unwrap() {
                    taken.push(line);
                }
            }
            assert_eq!(taken, ["one", "", "tw\u{fffd}o"]);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_told_before_its_end_has_come() {
        let mut lines = LineBuffer::new(4);
        lines.add(b"abcd");
        assert_eq!(lines.take(), Ok(None));
        lines.add(b"e");
        assert_eq!(lines.take(), Err(LineTooLong));
        let mut lines = LineBuffer::new(4);
        lines.add(b"abcde\nf\n");
        assert_eq!(lines.take(), Err(LineTooLong));
    }
}
