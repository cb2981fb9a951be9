//! The one integration binary: what the whole program does, seen from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a panic is a test's failure, and skipped tests say so"
)]

/// Every test of this list is run over both stores.
macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            $(#[test] fn $test() { super::$test(); })*
        }
        mod postgis {
            $(#[test] fn $test() { crate::support::over_postgis(super::$test); })*
        }
    };
}

mod agree;
mod alerts;
mod announced;
mod any_request;
mod architecture;
mod archives;
mod bake;
mod blobs;
mod borders;
mod codes_only;
mod cog;
mod conformance;
mod crash;
mod crs;
mod dataset_tiles;
mod decoders;
mod definition;
mod exports;
mod figures;
mod filters;
mod formats_read;
mod formats_written;
mod france;
mod fuzz;
mod gdal;
mod grids;
mod harvest;
mod holds;
mod kills;
mod kinds;
mod kit;
mod large_tables;
mod levels;
mod lightening;
mod live_contract;
mod memory;
mod news;
mod odd;
mod operations;
mod own_levels;
mod pages;
mod postgis;
mod proxied;
mod proxy;
mod qgis;
mod real_files;
mod replica;
mod resilience;
mod resolve;
mod row_schemas;
mod saturation;
mod schedule;
mod serve;
mod sources;
mod store_contract;
mod styles;
mod support;
mod systems;
mod tables;
mod thinning;
mod times;
mod tls;
mod touched;
mod upgrade;
mod views;
mod vintages;
mod warm;
mod wfs;
