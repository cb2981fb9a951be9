//! Coordinate reference systems, validity, measures, overlaps, overviews: geometry without
//! features. Coordinates are longitude and latitude in degrees unless a module says otherwise.

pub mod area;
pub mod clip;
pub mod crs;
pub mod dissolve;
mod faces;
pub mod generalise;
pub mod overlap;
pub mod overview;
mod predicates;
pub mod relate;
pub mod validity;

#[cfg(test)]
mod real;
