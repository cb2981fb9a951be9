//! Coordinate reference systems, validity, measures, overlaps, overviews: geometry without
//! features. Coordinates are longitude and latitude in degrees unless a module says otherwise.

pub mod area;
pub mod crs;
pub mod overlap;
pub mod overview;
mod predicates;
pub mod validity;

#[cfg(test)]
mod real;
