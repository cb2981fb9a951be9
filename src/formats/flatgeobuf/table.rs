//! FlatBuffers read in place: tables whose fields lie where a list of offsets says, and vectors.
//! Nothing is believed: what points outside of the bytes is not there.

/// A table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    /// Where it lies.
    at: usize,
    /// Where its list of offsets lies, and how long that is.
    fields: usize,
    length: usize,
}

/// A vector, by where its first element lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vector<'a> {
    bytes: &'a [u8],
    at: usize,
    length: usize,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// Where an offset that lies at `at` points to.
fn follow(bytes: &[u8], at: usize) -> Option<usize> {
    let offset = usize::try_from(u32::from_le_bytes(number(bytes, at)?)).ok()?;
    at.checked_add(offset).filter(|to| *to < bytes.len())
}

impl<'a> Table<'a> {
    /// The table that a buffer holds.
    pub(super) fn root(bytes: &'a [u8]) -> Option<Self> {
        Self::at(bytes, follow(bytes, 0)?)
    }

    fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        let back = i64::from(i32::from_le_bytes(number(bytes, at)?));
        let fields = usize::try_from(i64::try_from(at).ok()? - back).ok()?;
        let length = usize::from(u16::from_le_bytes(number(bytes, fields)?));
        Some(Self { bytes, at, fields, length })
    }

    /// Bytes of the whole buffer.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Where a field lies, by its position in the schema; `None` when it is left out.
    fn place(&self, field: usize) -> Option<usize> {
        let slot = 4 + 2 * field;
        if slot + 2 > self.length {
            return None;
        }
        let offset = u16::from_le_bytes(number(self.bytes, self.fields + slot)?);
        (offset > 0).then_some(self.at + usize::from(offset))
    }

    fn scalar<const N: usize>(&self, field: usize) -> Option<[u8; N]> {
        number(self.bytes, self.place(field)?)
    }

    pub(super) fn u8(&self, field: usize) -> Option<u8> {
        self.scalar(field).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&self, field: usize) -> Option<u16> {
        self.scalar(field).map(u16::from_le_bytes)
    }

    pub(super) fn i32(&self, field: usize) -> Option<i32> {
        self.scalar(field).map(i32::from_le_bytes)
    }

    pub(super) fn u64(&self, field: usize) -> Option<u64> {
        self.scalar(field).map(u64::from_le_bytes)
    }

    pub(super) fn table(&self, field: usize) -> Option<Self> {
        Self::at(self.bytes, follow(self.bytes, self.place(field)?)?)
    }

    pub(super) fn vector(&self, field: usize) -> Option<Vector<'a>> {
        let at = follow(self.bytes, self.place(field)?)?;
        let length = usize::try_from(u32::from_le_bytes(number(self.bytes, at)?)).ok()?;
        Some(Vector { bytes: self.bytes, at: at + 4, length })
    }

    pub(super) fn bytes(&self, field: usize) -> Option<&'a [u8]> {
        let vector = self.vector(field)?;
        self.bytes.get(vector.at..vector.at.checked_add(vector.length)?)
    }

    pub(super) fn string(&self, field: usize) -> Option<&'a str> {
        std::str::from_utf8(self.bytes(field)?).ok()
    }
}

impl<'a> Vector<'a> {
    /// How many elements it says to have; at least four bytes each are there.
    pub(super) fn len(&self) -> usize {
        self.length.min(self.bytes.len().saturating_sub(self.at) / 4)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Its tables; `None` in place of one that is not there.
    pub(super) fn tables(self) -> impl Iterator<Item = Option<Table<'a>>> {
        (0..self.len()).map(move |i| Table::at(self.bytes, follow(self.bytes, self.at + 4 * i)?))
    }

    /// Its doubles; `None` when they are not all there.
    pub(super) fn doubles(self) -> Option<impl ExactSizeIterator<Item = f64> + 'a> {
        let end = self.at.checked_add(self.length.checked_mul(8)?)?;
        let (numbers, _) = self.bytes.get(self.at..end)?.as_chunks::<8>();
        Some(numbers.iter().map(|n| f64::from_le_bytes(*n)))
    }

    /// Its 32-bit numbers; `None` when they are not all there.
    pub(super) fn numbers(self) -> Option<impl ExactSizeIterator<Item = u32> + 'a> {
        let end = self.at.checked_add(self.length.checked_mul(4)?)?;
        let (numbers, _) = self.bytes.get(self.at..end)?.as_chunks::<4>();
        Some(numbers.iter().map(|n| u32::from_le_bytes(*n)))
    }
}
