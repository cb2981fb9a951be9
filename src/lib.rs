//! Socle collects France's territorial reference layers, keeps them versioned, and serves them,
//! cut to any territory, to tools people already use.
//!
//! # Layout, in reading order
//!
//! - [`model`]: plain data that crosses rooms.
//! - [`error`]: the domain's few failures.
//! - [`config`]: settings as checked values, one file per concern; unknown keys refused.
//! - [`app`]: the long-lived parts, wired once.
//! - [`http`]: the router (a table of contents), one file per API; the only place that names axum.
//! - [`items`]: answers a query with a page of features.
//! - [`tiles`]: answers a tile id with a tile.
//! - [`exports`]: layers, selected for a territory, as a file.
//! - [`stats`]: figures by territory.
//! - [`resolve`]: tables of old codes, names or places, put on today's territories.
//! - [`jobs`]: the pipelines: harvest, import, publish.
//! - [`alerts`]: tells operators of sources that fail, change or are held.
//! - [`harvest`]: a remote source becomes a local file with its provenance.
//! - [`import`]: bytes become features, checked and attached, then a new version.
//! - [`catalog`]: layers, versions and which is current: an immutable snapshot swapped whole.
//! - [`territory`]: the COG: codes, hierarchy, carrying, search, selections.
//! - [`store`]: the contract, and two stores: files, PostGIS.
//! - [`blobs`]: files shared by replicas, in a folder or in object storage.
//! - [`formats`]: reads and writes, one file per format.
//! - [`geometry`]: CRS, validity, unions and cuts at borders, overviews with shared borders.
//! - [`query`]: the query model.
//! - [`cli`]: one file per command.
//!
//! # Two ways through it
//!
//! **A tile**: `http` parses and negotiates → [`tiles`] looks in the cache, joins a running
//! computation or starts one → [`store`] gives the features of that version, envelope and
//! territory → [`tiles`] encodes, compresses once, keeps → `http` answers.
//!
//! **A harvest**: [`jobs`] decides what is due → [`harvest`] fetches a file with its provenance →
//! [`import`] reads it ([`formats`]), carries codes and attaches ([`territory`]), loads a version
//! ([`store`]), not yet visible → publishing makes it current in one step, and [`catalog`] swaps
//! its snapshot. Each stage takes the value the one before returned and leaves what is published
//! untouched if it fails.

pub mod alerts;
pub mod app;
pub mod blobs;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod error;
pub mod exports;
pub mod formats;
pub mod geometry;
pub mod harvest;
pub mod http;
pub mod import;
pub mod items;
pub mod jobs;
pub mod model;
pub mod query;
pub mod resolve;
pub mod stats;
pub mod store;
pub mod territory;
pub mod tiles;
