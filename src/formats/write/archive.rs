//! Archives (zip): a file or a set of files for each layer, and LISEZMOI.txt, which says where each
//! comes from. Written in one go, without seeking.

use super::{
    Head, Kind, Names, Options, Row, Target, Writer, io, no_layer, readme, shapefile::Shapefiles,
};
use crate::error::{Error, Result};
use std::{
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use zip::{
    CompressionMethod, DateTime, ZipWriter,
    result::ZipError,
    write::{SimpleFileOptions, StreamWriter},
};

type Zip = ZipWriter<StreamWriter<Box<dyn Write + Send>>>;

/// What an archive holds for each layer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Members {
    /// One file of a format.
    Files(&'static Kind, Options),
    /// A Shapefile's set.
    Shapefiles,
}

/// An archive of Shapefiles.
pub(super) fn shapefiles(target: Target, _: Options) -> Result<Box<dyn Writer>> {
    Ok(Box::new(Archive::new(Members::Shapefiles, target)))
}

pub(super) struct Archive {
    members: Members,
    zip: Shared,
    scratch: PathBuf,
    names: Names,
    layer: Option<Layer>,
    readme: String,
}

enum Layer {
    File(Box<dyn Writer>, Box<Head>),
    Set(Box<Shapefiles>, Box<Head>),
}

/// The archive, lent to the writer of the file at hand.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<Zip>>>);

impl Shared {
    fn with<T>(&self, f: impl FnOnce(&mut Zip) -> Result<T>) -> Result<T> {
        let mut zip = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(zip.as_mut().ok_or_else(|| Error::broken("the archive is closed"))?)
    }

    fn start(&self, name: &str) -> Result<()> {
        self.with(|zip| zip.start_file(name, entry(name)).map_err(fault))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut zip = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        zip.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(()) // the archive is flushed once, at its end
    }
}

impl Archive {
    pub(super) fn new(members: Members, target: Target) -> Self {
        let zip = ZipWriter::new_stream(target.out);
        Self {
            members,
            zip: Shared(Arc::new(Mutex::new(Some(zip)))),
            scratch: target.scratch,
            names: Names::default(),
            layer: None,
            readme: String::new(),
        }
    }
}

impl Writer for Archive {
    fn begin(&mut self, head: &Head) -> Result<()> {
        // Each layer once, whatever the case of its name.
        let mut head = head.clone();
        head.name = self.names.free(&head.name);
        self.layer = Some(match self.members {
            Members::Files(kind, options) => {
                self.zip.start(&format!("{}.{}", head.name, kind.extension))?;
                let target =
                    Target { out: Box::new(self.zip.clone()), scratch: self.scratch.clone() };
                let mut file = kind.open(target, options)?;
                file.begin(&head)?;
                Layer::File(file, head.into())
            }
            Members::Shapefiles => {
                Layer::Set(Shapefiles::new(&self.scratch, &head).into(), head.into())
            }
        });
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        match self.layer.as_mut().ok_or_else(no_layer)? {
            Layer::File(file, _) => file.row(row),
            Layer::Set(set, _) => set.row(row),
        }
    }

    fn end(&mut self) -> Result<()> {
        let text = match self.layer.take().ok_or_else(no_layer)? {
            Layer::File(mut file, head) => {
                file.end()?;
                file.finish()?;
                readme::text(&head, &[])
            }
            Layer::Set(set, head) => {
                let (files, notes) = set.finish()?;
                for made in files {
                    self.zip.start(&made.name)?;
                    let mut file = std::fs::File::open(&made.path).map_err(io)?;
                    std::io::copy(&mut file, &mut self.zip).map_err(io)?;
                    std::fs::remove_file(&made.path).map_err(io)?;
                }
                readme::text(&head, &notes)
            }
        };
        self.readme.push_str(&text);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.zip.start("LISEZMOI.txt")?;
        let text = format!("\u{feff}{}", self.readme);
        self.zip.write_all(text.as_bytes()).map_err(io)?;
        let zip = self.zip.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let zip = zip.ok_or_else(|| Error::broken("the archive is closed"))?;
        zip.finish().map_err(fault)?.into_inner().flush().map_err(io)
    }
}

/// How a member is kept. Sizes are not known beforehand: room for large ones is made for all.
pub(super) fn entry(name: &str) -> SimpleFileOptions {
    // What is compressed already is kept as it is.
    let packed = [".xlsx", ".parquet", ".qgz"].iter().any(|end| name.ends_with(end));
    let method = if packed { CompressionMethod::Stored } else { CompressionMethod::Deflated };
    let now = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now());
    let part = |n: i8| u8::try_from(n).unwrap_or(1);
    let time = DateTime::from_date_and_time(
        u16::try_from(now.year()).unwrap_or(1980),
        part(now.month()),
        part(now.day()),
        part(now.hour()),
        part(now.minute()),
        part(now.second()),
    );
    SimpleFileOptions::default()
        .compression_method(method)
        .compression_level((!packed).then_some(3))
        .large_file(true)
        .last_modified_time(time.unwrap_or_default())
}

pub(super) fn fault(e: ZipError) -> Error {
    match e {
        ZipError::Io(e) => io(e),
        other => Error::fault("writing an archive", other),
    }
}
