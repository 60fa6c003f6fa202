//! Removes what a video file says about where, when and with what it was made.
//!
//! It is overwritten where it is: a box becomes `free` space of the same length, so that no offset in the
//! file changes. Pictures and sound are not touched. What stays is a list, because makers invent boxes.

mod parts;
mod stays;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Seek as _},
    ops::Range,
    os::unix::fs::FileExt as _,
};

use self::{
    parts::{has_anything, in_order, read, zero},
    stays::{
        BRANDS, FRAGMENT, MEDIA, MEDIA_INFORMATION, MOVIE, PADDING, SAMPLE_TABLE, TOP, TRACK,
        TRACK_FRAGMENT, TRACKS, is_of_ffmpeg, names_ffmpeg,
    },
};
use super::{
    boxes::{self, MediaBox, Place},
    samples::{self, Defaults},
};
use crate::media::confined::in_memory;

/// Overwrites it in a file in memory and rewinds the file. Returns whether anything was changed. A file
/// that came and only names ffmpeg is left as it is, because most files from programs are such.
pub(super) async fn remove(film: &File, came: bool) -> io::Result<bool> {
    let mut film = film.try_clone()?;
    let work = tokio::task::spawn_blocking(move || {
        let changed = overwrite(&film, came)?;
        film.rewind()?;
        Ok(changed)
    });
    work.await.map_err(io::Error::other)?
}

/// Makes a box of what a maker put behind the last one, because the parser reads boxes only. Returns
/// whether there was such a thing. The beginning of a box that a film needs is none: the film is cut off.
pub(super) fn enclose_trailer(film: &File) -> io::Result<bool> {
    let (top, rest) = boxes::top(film)?;
    let is_whole = top.iter().any(|place| place.name == *b"moov");
    if !is_whole || rest.end - rest.start < 8 {
        return Ok(false);
    }
    let head = read(film, &(rest.start..rest.start + 8))?;
    if TOP.iter().chain(&PADDING).any(|name| head[4..] == name[..]) {
        return Ok(false);
    }
    let mut found = Found::default();
    found.trailer(film, rest)?;
    found.overwrite(film)?;
    Ok(true)
}

fn overwrite(film: &File, came: bool) -> io::Result<bool> {
    let found = Found::in_file(film)?;
    let changes = found.tells || !came;
    if changes {
        found.overwrite(film)?;
    }
    Ok(changes)
}

/// Returns sound in MP4 without metadata; `None` if it is left as it is. Fails if it cannot be judged.
pub(super) fn without(sound: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let file = in_memory()?;
    file.write_all_at(sound, 0)?;
    let found = Found::in_file(&file)?;
    if found.tracks.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no track"));
    }
    if !found.tells {
        return Ok(None);
    }
    found.overwrite(&file)?;
    let mut bytes = vec![0; sound.len()];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// What has to be overwritten.
#[derive(Debug, Default)]
struct Found {
    /// Boxes that become free space. What follows the last box of a file becomes one, too.
    boxes: Vec<Place>,
    parts: Vec<Range<u64>>,
    /// Whether any of it says more than the name of a tool.
    tells: bool,
    /// The tracks that stay, and where their samples are; `None` if that cannot be told.
    tracks: Vec<u32>,
    samples: Option<Vec<Range<u64>>>,
    defaults: Vec<Defaults>,
    /// Where a maker's brand comes first.
    brands: Vec<u64>,
    /// How many boxes were looked at.
    seen: usize,
}

impl Found {
    fn in_file(film: &File) -> io::Result<Self> {
        let mut found = Self {
            samples: Some(Vec::new()),
            ..Self::default()
        };
        let (top, rest) = boxes::top(film)?;
        // Without its description nothing can be judged.
        if !top.iter().any(|place| place.name == *b"moov") {
            return Ok(found);
        }
        // The tracks are needed to judge the fragments, and the samples of both to judge `mdat`.
        for name in [b"moov", b"moof"] {
            for place in top.iter().filter(|place| place.name == *name) {
                let content = read(film, &place.content)?;
                let part = MediaBox {
                    place: place.clone(),
                    content: &content,
                };
                match name {
                    b"moov" => found.movie(&part),
                    _ => found.fragment(&part),
                }
            }
        }
        if found.seen > boxes::BOXES_MAX {
            return Err(boxes::too_many());
        }
        // Nor can a file that holds neither pictures nor sound.
        if found.tracks.is_empty() {
            return Ok(Self::default());
        }
        let samples = found.samples.take().map(in_order);
        for place in &top {
            match &place.name {
                b"ftyp" | b"styp" => found.brands(place, &read(film, &place.content)?),
                b"mdat" => {
                    if let Some(samples) = &samples {
                        found.unused(film, &place.content, samples)?;
                    }
                }
                name if TOP.contains(&name) => {}
                name if PADDING.contains(&name) => found.nonzero(film, place.content.clone())?,
                _ => found.free(place.clone()),
            }
        }
        if !rest.is_empty() {
            found.trailer(film, rest)?;
        }
        Ok(found)
    }

    /// Makers have brands of their own (4.3). The first brand says how to read the file; others may be
    /// missing.
    fn brands(&mut self, place: &Place, content: &[u8]) {
        let brands = content.chunks_exact(4).enumerate();
        for (at, brand) in brands.filter(|(at, _)| *at != 1) {
            if brand == [0; 4] || BRANDS.iter().any(|common| brand.starts_with(common)) {
                continue;
            }
            let start = place.content.start + 4 * at as u64;
            match at {
                0 => self.brands.push(start),
                _ => self.parts.push(start..start + 4),
            }
            self.tells = true;
        }
    }

    fn movie(&mut self, movie: &MediaBox<'_>) {
        if let Some(extends) = movie.child(*b"mvex") {
            let rows = extends.children().filter(|part| part.name() == b"trex");
            self.defaults = rows.filter_map(|trex| Defaults::read(&trex)).collect();
        }
        for part in self.staying(movie, &MOVIE) {
            match part.name() {
                b"mvhd" => self.times(&part),
                b"trak" => self.track(&part),
                _ => {}
            }
        }
    }

    fn track(&mut self, track: &MediaBox<'_>) {
        let handler = track.find(&[b"mdia", b"hdlr"]);
        let kind = handler
            .as_ref()
            .and_then(|handler| handler.content.get(8..12));
        let head = track.child(*b"tkhd");
        let id = head.and_then(|head| {
            head.number(if head.content.first() == Some(&1) {
                20
            } else {
                12
            })
        });
        let (Some(kind), Some(id)) = (kind.filter(|kind| TRACKS.contains(kind)), id) else {
            self.free(track.place.clone());
            return;
        };
        self.tracks.push(id);
        self.samples_are(samples::of_track(track));
        for part in self.staying(track, &TRACK) {
            match part.name() {
                b"tkhd" => self.times(&part),
                b"mdia" => self.media(&part, kind == b"vide"),
                _ => {}
            }
        }
    }

    fn media(&mut self, media: &MediaBox<'_>, is_video: bool) {
        for part in self.staying(media, &MEDIA) {
            match part.name() {
                b"mdhd" => self.times(&part),
                b"hdlr" => self.handler(&part),
                b"minf" => self.media_information(&part, is_video),
                _ => {}
            }
        }
    }

    fn media_information(&mut self, information: &MediaBox<'_>, is_video: bool) {
        for part in self.staying(information, &MEDIA_INFORMATION) {
            match part.name() {
                b"hdlr" => self.handler(&part),
                b"stbl" => {
                    for table in self.staying(&part, &SAMPLE_TABLE) {
                        if table.name() == b"stsd" {
                            self.descriptions(&table, is_video);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// `QuickTime` has the maker of the encoder here, and every format the encoder's name (12.1.3).
    fn descriptions(&mut self, table: &MediaBox<'_>, is_video: bool) {
        for entry in table.children_after(8) {
            self.text(&entry, 12..16);
            if is_video {
                self.text(&entry, 42..74);
            }
        }
    }

    /// The maker of what handles the track, in `QuickTime`, and its name (8.4.3).
    fn handler(&mut self, handler: &MediaBox<'_>) {
        self.text(handler, 12..24);
        self.text(handler, 24..handler.content.len());
    }

    /// When it was made and changed: the first fields after the version (8.2.2, 8.3.2, 8.4.2).
    fn times(&mut self, head: &MediaBox<'_>) {
        let length = if head.content.first() == Some(&1) {
            16
        } else {
            8
        };
        self.text(head, 4..4 + length);
    }

    fn fragment(&mut self, fragment: &MediaBox<'_>) {
        let samples = samples::of_fragment(fragment, &self.defaults);
        let shown = |(track, part)| self.tracks.contains(&track).then_some(part);
        let samples = samples.map(|parts| parts.into_iter().filter_map(shown).collect());
        self.samples_are(samples);
        for track in self.staying(fragment, &FRAGMENT) {
            if track.name() != b"traf" {
                continue;
            }
            let id = track.child(*b"tfhd").and_then(|head| head.number(4));
            if id.is_some_and(|id| self.tracks.contains(&id)) {
                self.staying(&track, &TRACK_FRAGMENT);
            } else {
                self.free(track.place.clone());
            }
        }
    }

    fn samples_are(&mut self, parts: Option<Vec<Range<u64>>>) {
        let known = self.samples.take().zip(parts);
        let known = known.map(|(mut all, parts)| {
            all.extend(parts);
            all
        });
        self.samples = known.filter(|all| all.len() <= samples::PARTS_MAX);
    }

    /// Returns the boxes that stay and frees the others, and what is between them.
    fn staying<'a>(&mut self, of: &MediaBox<'a>, names: &[&[u8; 4]]) -> Vec<MediaBox<'a>> {
        let (mut stay, mut inside) = (Vec::new(), of.children());
        for part in inside.by_ref() {
            self.seen += 1;
            if self.seen > boxes::BOXES_MAX {
                return Vec::new();
            }
            if names.contains(&part.name()) {
                stay.push(part);
            } else if PADDING.contains(&part.name()) {
                self.text(&part, 0..part.content.len());
            } else if part.name() == b"udta" && is_of_ffmpeg(&part) {
                self.boxes.push(part.place);
            } else {
                self.free(part.place);
            }
        }
        let (place, rest) = inside.rest();
        if rest.iter().any(|byte| *byte != 0) {
            self.parts.push(place);
            self.tells = true;
        }
        stay
    }

    fn free(&mut self, place: Place) {
        self.boxes.push(place);
        self.tells = true;
    }

    /// Overwrites bytes of a box.
    fn text(&mut self, of: &MediaBox<'_>, bytes: Range<usize>) {
        let Some(text) = of.content.get(bytes.clone()) else {
            return;
        };
        if text.iter().any(|byte| *byte != 0) {
            self.parts.push(of.within(bytes));
            self.tells |= !names_ffmpeg(text);
        }
    }

    /// Overwrites a part of the file if there is anything.
    fn nonzero(&mut self, film: &File, part: Range<u64>) -> io::Result<()> {
        if has_anything(film, &part)? {
            self.parts.push(part);
            self.tells = true;
        }
        Ok(())
    }

    /// Overwrites what no sample of a track that stays is in. `samples` are in order and do not overlap.
    fn unused(&mut self, film: &File, data: &Range<u64>, samples: &[Range<u64>]) -> io::Result<()> {
        let first = samples.partition_point(|part| part.end <= data.start);
        let mut at = data.start;
        for part in &samples[first..] {
            if part.start >= data.end {
                break;
            }
            if part.start > at {
                self.nonzero(film, at..part.start)?;
            }
            at = part.end;
        }
        if at < data.end {
            self.nonzero(film, at..data.end)?;
        }
        Ok(())
    }

    /// Makes a box of what follows the last one.
    fn trailer(&mut self, film: &File, rest: Range<u64>) -> io::Result<()> {
        let head = rest.start + 8;
        if head > rest.end {
            return self.nonzero(film, rest);
        }
        self.free(Place {
            name: [0; 4],
            content: head..rest.end,
            whole: rest,
        });
        Ok(())
    }

    fn overwrite(&self, film: &File) -> io::Result<()> {
        for place in &self.boxes {
            let length = place.whole.end - place.whole.start;
            if place.name == [0; 4] {
                let length = u32::try_from(length).unwrap_or(0);
                film.write_all_at(&length.to_be_bytes(), place.whole.start)?;
            }
            film.write_all_at(b"free", place.whole.start + 4)?;
            zero(film, &place.content)?;
        }
        for start in &self.brands {
            film.write_all_at(b"isom", *start)?;
        }
        self.parts.iter().try_for_each(|part| zero(film, part))
    }
}
