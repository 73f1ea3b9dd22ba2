//! What is sent: operations, cut into frames that are read and compressed once, whatever the number of hosts. A frame is
//! what the script on a host decompresses by itself.

use super::order::Operation;
use super::wire::put_number;
use super::{LocalError, PathInfo, daemon, write_nar};
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

/// A frame is cut off once it has this size, in bytes: most operations are one, for each of which the script on the host
/// starts two processes, and what is in memory is counted in frames.
const FRAME: usize = 16 << 20;
/// How much of an operation the daemon takes at once, in bytes: it allocates what we say.
const CHUNK: usize = 64 << 10;
/// How many frames may be in memory, as read and compressed: the slowest host sets the pace, and another may be so far ahead
/// of it.
const IN_MEMORY: usize = 5;
/// A frame below this size, in bytes, isn't worth a process on the host that decompresses it.
const SMALL: usize = 8 << 10;
/// Faster than any link and processor behind it, and nearly as small as what takes three times as long.
const LEVEL: i32 = 1;

/// Some bytes for a daemon, as they go over the wire.
pub(super) struct Frame {
    plain: Option<Vec<u8>>,
    compressed: Option<Vec<u8>>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Which sorts of frames the hosts take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) plain: bool,
    pub(super) compressed: bool,
}

impl Wanted {
    /// What a host takes that has zstd, or has not.
    pub(super) fn by(has_zstd: bool) -> Self {
        Self { plain: !has_zstd, compressed: has_zstd }
    }
}

impl Frame {
    /// Makes a frame. Takes as long as compressing it does.
    pub(super) fn new(bytes: Vec<u8>, wanted: Wanted) -> io::Result<Self> {
        let compress = wanted.compressed && bytes.len() >= SMALL;
        let compressed = compress.then(|| zstd::bulk::compress(&bytes, LEVEL)).transpose()?;
        // What hardly shrinks isn't worth one either.
        let compressed = compressed.filter(|compressed| compressed.len() < bytes.len() / 10 * 9);
        let plain = (wanted.plain || compressed.is_none()).then_some(bytes);
        Ok(Self { plain, compressed, _room: None })
    }

    /// The line that announces it to the script, and what follows that.
    pub(super) fn as_sent(&self, wanted: Wanted) -> (String, &[u8]) {
        let (word, bytes) = match &self.compressed {
            Some(bytes) if wanted.compressed => ("z", bytes),
            _ => ("r", self.plain.as_ref().expect("each frame is made as some host takes it")),
        };
        (format!("{word} {}\n", bytes.len()), bytes)
    }
}

/// A frame that is being compressed, and the operation that it is of, by number.
type Pending = (usize, JoinHandle<io::Result<Frame>>);

/// Reads the paths of all operations from the store, one after the other, and hands each frame to `deliver` with the number
/// of its operation.
///
/// # Errors
/// Where a path can't be read.
pub(super) async fn read(
    paths: Arc<[PathInfo]>,
    operations: Arc<[Operation]>,
    wanted: Wanted,
    mut deliver: impl FnMut(usize, Arc<Frame>),
) -> Result<(), LocalError> {
    let room = Arc::new(Semaphore::new(IN_MEMORY));
    // Two at once compress faster than a daemon takes, and a frame that is compressed is in memory twice.
    let (sender, mut pending) = mpsc::channel::<Pending>(1);
    let runtime = tokio::runtime::Handle::current();
    let reader = spawn_blocking(move || {
        for (number, operation) in operations.iter().enumerate() {
            // Nobody is left to read for where it can't be sent.
            let ended = || io::Error::from(io::ErrorKind::BrokenPipe);
            let emit = |bytes: Vec<u8>| {
                let room = runtime.block_on(room.clone().acquire_owned()).map_err(|_| ended())?;
                let job = spawn_blocking(move || {
                    let frame = Frame::new(bytes, wanted)?;
                    Ok(Frame { _room: Some(room), ..frame })
                });
                sender.blocking_send((number, job)).map_err(|_| ended())
            };
            write_operation(&paths, operation, emit)?;
        }
        Ok(())
    });
    while let Some((number, job)) = pending.recv().await {
        let frame = job.await.expect("compressing doesn't panic");
        let failed = |source| LocalError::Read { path: "a NAR, to compress it".into(), source };
        deliver(number, Arc::new(frame.map_err(failed)?));
    }
    reader.await.expect("reading doesn't panic")
}

/// One operation, in frames.
fn write_operation(
    paths: &[PathInfo],
    operation: &Operation,
    emit: impl FnMut(Vec<u8>) -> io::Result<()>,
) -> Result<(), LocalError> {
    let mut head = Vec::new();
    daemon::put_add_multiple_to_store(&mut head, operation.repair);
    let mut chunks = Chunks { frame: head, begun: None, emit };
    let mut number = Vec::new();
    put_number(&mut number, operation.paths.len() as u64);
    let failed = |path: &std::path::Path| {
        let path = path.to_owned();
        move |source| LocalError::Read { path, source }
    };
    chunks.write_all(&number).map_err(failed("a NAR".as_ref()))?;
    for info in operation.paths.iter().map(|place| &paths[*place]) {
        let path = info.path.to_path();
        let mut known = Vec::new();
        info.put(&mut known);
        chunks.write_all(&known).and_then(|()| write_nar(&path, &mut chunks)).map_err(failed(&path))?;
    }
    chunks.end().map_err(failed("a NAR".as_ref()))
}

/// Cuts what is written into chunks, each with its length before it, and those into frames.
struct Chunks<Emit> {
    frame: Vec<u8>,
    /// Where the chunk begins that is being filled.
    begun: Option<usize>,
    emit: Emit,
}

impl<Emit: FnMut(Vec<u8>) -> io::Result<()>> Chunks<Emit> {
    /// Writes the length of the chunk before it.
    fn close(&mut self) {
        if let Some(begun) = self.begun.take() {
            let length = (self.frame.len() - begun) as u64;
            self.frame[begun - 8..begun].copy_from_slice(&length.to_le_bytes());
        }
    }

    /// Says that no chunk follows, and lets go of what there is.
    fn end(mut self) -> io::Result<()> {
        self.close();
        put_number(&mut self.frame, 0);
        (self.emit)(self.frame)
    }
}

impl<Emit: FnMut(Vec<u8>) -> io::Result<()>> Write for Chunks<Emit> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.begun.is_none() {
            if self.frame.len() >= FRAME {
                // The allocator has a mapping of its own for it, of which only what is filled takes memory.
                let next = Vec::with_capacity(FRAME + CHUNK + 8);
                (self.emit)(std::mem::replace(&mut self.frame, next))?;
            }
            put_number(&mut self.frame, 0);
            self.begun = Some(self.frame.len());
        }
        let begun = self.begun.expect("it was begun just now");
        let fits = bytes.len().min(CHUNK - (self.frame.len() - begun));
        self.frame.extend_from_slice(&bytes[..fits]);
        if self.frame.len() - begun == CHUNK {
            self.close();
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Requests that are neither large nor shared.
pub(super) fn requests(write: impl FnOnce(&mut Vec<u8>), wanted: Wanted) -> io::Result<Frame> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    Frame::new(bytes, wanted)
}

#[cfg(test)]
mod tests {
    use super::super::wire::put_text;
    use super::*;

    #[test]
    fn chunks_hold_what_was_written_and_frames_are_cut_between_them() {
        let written: Vec<u8> = (0..40_000_000u32).map(|number| (number % 251) as u8).collect();
        let mut frames = Vec::new();
        let mut chunks = Chunks {
            frame: Vec::new(),
            begun: None,
            emit: |frame| {
                frames.push(frame);
                Ok(())
            },
        };
        written.chunks(12_345).for_each(|piece| chunks.write_all(piece).unwrap());
        chunks.end().unwrap();
        assert_eq!(frames.len(), 3);
        let all = frames.concat();
        let (mut rest, mut read) = (all.as_slice(), Vec::new());
        loop {
            let (length, after) = rest.split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            assert!(length <= CHUNK);
            read.extend_from_slice(&after[..length]);
            rest = &after[length..];
            if length == 0 {
                break;
            }
        }
        assert!(rest.is_empty());
        assert!(read == written);
    }

    #[test]
    fn what_does_not_shrink_goes_as_it_is() {
        // Never the same twice, as far as a compressor sees.
        let mut state = 1u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        let noise: Vec<u8> = noise.take(100_000).collect();
        let frame = Frame::new(noise.clone(), Wanted::by(true)).unwrap();
        assert_eq!(frame.as_sent(Wanted::by(true)), ("r 100000\n".to_owned(), &noise[..]));
    }

    #[test]
    fn a_frame_is_what_the_host_takes() {
        let both = Wanted { plain: true, compressed: true };
        let frame = requests(|out| put_text(out, "x".repeat(10_000)), both).unwrap();
        let (line, bytes) = frame.as_sent(Wanted::by(false));
        assert_eq!((line.as_str(), bytes.len()), ("r 10008\n", 10_008));
        let (line, bytes) = frame.as_sent(Wanted::by(true));
        assert_eq!(line, format!("z {}\n", bytes.len()));
        assert_eq!(zstd::bulk::decompress(bytes, 20_000).unwrap().len(), 10_008);
    }
}
