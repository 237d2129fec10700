//! The parts that this program plays on the nodes of a bed: what answers clients, and what makes a
//! machine busy. Each runs until it is killed; the bed kills it at its end.

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{BenchError, Step};

/// What is written at once, in octets.
const PIECE: usize = 1 << 20;
/// How many pieces are written before the disk has to have them.
const PIECES: usize = 32;

/// Answers every datagram on a port with the node's name behind it, from the address asked.
///
/// # Errors
/// The port can't be opened. It returns for no other reason.
pub fn respond(port: u16, node: &str) -> Result<(), BenchError> {
    Ok(stead_lab::web::serve(None, port, node)?)
}

/// Uses one processor.
pub fn spin() -> ! {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

/// Writes a file again and again, and has the disk take it each time.
///
/// # Errors
/// The file can't be written. It returns for no other reason.
pub fn write(path: &Path) -> Result<(), BenchError> {
    let what = || format!("cannot write {}", path.display());
    let mut file = File::create(path).step(what)?;
    let piece = vec![0x5a; PIECE];
    loop {
        file.seek(SeekFrom::Start(0)).step(what)?;
        for _ in 0..PIECES {
            file.write_all(&piece).step(what)?;
        }
        file.sync_all().step(what)?;
    }
}
