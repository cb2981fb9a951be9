//! Plain data that crosses rooms: features, schemas, boxes, tile ids, territory codes, layers,
//! versions, reports. No input or output, no database, no HTTP; it imports nothing of ours.

pub mod alert;
pub mod archive;
pub mod bbox;
pub mod budget;
pub mod changes;
pub mod drawing;
pub mod element;
pub mod field;
pub mod geometry_kind;
pub mod hash;
pub mod hilbert;
pub mod hold;
pub mod json_schema;
pub mod layer;
pub mod limits;
pub mod live;
pub mod origin;
pub mod perimeter;
pub mod progress;
pub mod record;
pub mod reference;
pub mod relation;
pub mod report;
pub mod row_schema;
pub mod run;
pub mod schedule;
pub mod schema;
pub mod selection;
pub mod shape_change;
pub mod sheet;
pub mod symbols;
pub mod territory;
pub mod text;
pub mod thinning;
pub mod tile_grid;
pub mod tile_id;
pub mod value;
pub mod version;

pub use alert::{Alert, AlertKind, AlertRules, Delivery, Told, ToldEvent, Turn};
pub use archive::{ArchiveDef, ArchivePlace, ObjectPlace};
pub use bbox::BBox;
pub use budget::{Budget, Spent};
pub use changes::{Change, ChangeKind, Changes, ChangesHead, Place};
pub use drawing::Drawing;
pub use element::Element;
pub use field::{FieldDef, FieldWords, Unit, UnitLang};
pub use geometry_kind::GeometryKind;
pub use hash::{push_hex, stable_hash};
pub use hold::{Comparison, Held, Hold, HoldReason, HoldRule, HoldRules, Retyped};
pub use json_schema::{Instance, JsonSchema};
pub use layer::{
    CsvOptions, DerivedSource, Format, LayerDef, LayerId, Licence, SourceDef, SourceLocation,
    TerritoryBinding, TerritoryGeometry, TileOptions, TimeBinding,
};
pub use limits::SourceLimits;
pub use live::{Cells, Live, TableSource};
pub use origin::{DatagouvSource, Dataset, ServiceKind, ServiceSource, Wanted};
pub use perimeter::{Perimeter, PerimeterUnit};
pub use progress::{Progress, Silent};
pub use record::{Feature, Record};
pub use reference::{Flip, ReferenceState, ReferenceTable};
pub use relation::Relation;
pub use report::{Carried, Refusal, RefusalReason, Report};
pub use row_schema::{
    Constraints, CustomCheck, ForeignKey, ForeignReference, OneOrMore, RowRules, RowSchema,
    SchemaField, SchemaKind, TableSchema,
};
pub use run::{Fault, Outcome, RunRecord, SourceFailure, Trigger};
pub use schedule::Schedule;
pub use schema::{Field, FieldKind, Schema};
pub use selection::{Clause, Mode, RankSet, Selection};
pub use shape_change::{OtherGeometry, ShapeChange};
pub use sheet::{Cell, Sheet};
pub use symbols::{
    Categories, Category, CategoryValue, ClassLimits, Classes, Cut, Division, Ramp, Symbols, Theme,
};
pub use territory::{
    Code, Level, LevelDef, LevelSource, LevelTable, LevelWords, OwnLevel, TerritoryCode,
    TerritoryError,
};
pub use text::{Lang, Text};
pub use thinning::{Shown, Thinning};
pub use tile_grid::Grid;
pub use tile_id::TileId;
pub use value::{Value, ValueRef};
pub use version::{Harvested, Version, VersionId, Withdrawal};
