//! The stream form of Arrow's IPC: the schema, batches of records, and a mark at the end. It is not compressed by itself, so that every
//! reader can read it; HTTP compresses it for who asks.
//!
//! Many readers take a stream that ends between two messages for whole, without the mark. So the last bytes of each message are held
//! back until the next one is there: a stream that breaks off ends within a message, which no reader takes.

use arrow_ipc::writer::StreamWriter;

use super::{
    batch::{self, BatchRows},
    error::ExportError,
    published::PublishedColumn,
};

/// Bytes that are held back. Every message is longer.
const HELD_BACK: usize = 8;

/// Writes rows as batches of a stream.
pub(super) struct StreamRows {
    rows: BatchRows,
    stream: StreamWriter<Vec<u8>>,
}

impl StreamRows {
    pub(super) fn new(columns: Vec<PublishedColumn>) -> Result<Self, ExportError> {
        let rows = BatchRows::new(columns);
        let stream = StreamWriter::try_new(Vec::new(), rows.schema()).map_err(|error| batch::failed(&error))?;
        Ok(Self { rows, stream })
    }

    /// Moves what is ready to the end of `out`.
    pub(super) fn drain(&mut self, out: &mut Vec<u8>) {
        let made = self.stream.get_mut();
        out.extend(made.drain(..made.len().saturating_sub(HELD_BACK)));
    }

    pub(super) fn row<'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        if let Some(batch) = self.rows.row(values)? {
            self.stream.write(&batch).map_err(|error| batch::failed(&error))?;
            self.drain(out);
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if let Some(batch) = self.rows.rest()? {
            self.stream.write(&batch).map_err(|error| batch::failed(&error))?;
        }
        self.stream.finish().map_err(|error| batch::failed(&error))?;
        out.append(self.stream.get_mut());
        Ok(())
    }
}
