//! Tables that are put on today's territories.

use socle::{
    model::Lang,
    resolve::{Ask, Kind, Resolver, Sent},
    territory::Reference,
};
use std::{sync::Arc, time::Duration};

/// What a table may take in memory, as the service has it for its largest.
const MEMORY: usize = 256 << 20;

/// A table. The first byte chooses its kind and what is asked.
pub fn resolve(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    let kind = [None, Some(Kind::Csv), Some(Kind::Xlsx), Some(Kind::Json)];
    let of = |choice: u8| kind.get(usize::from(choice % 4)).copied().flatten();
    let sent = Sent { bytes: file.to_vec(), kind: of(*choice), charset: None, held: None };
    let ask = Ask {
        add: if choice & 16 == 0 { Vec::new() } else { vec!["epci".into(), "dep:nom".into()] },
        kind: of(choice >> 2),
        vintage: (choice & 32 != 0).then_some(2018),
        original: choice & 64 != 0,
        lang: if choice & 128 == 0 { Lang::Fr } else { Lang::En },
        within: Some(Duration::from_secs(4)),
        memory: Some(MEMORY),
        ..Ask::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.expect("a runtime").block_on(async {
        let resolver = Arc::new(Resolver::new(None));
        resolver.resolve(sent, ask, &Reference::builtin(), None).await
    });
    assert!(!matches!(done, Err(socle::error::Error::Fault { .. })), "{:?}", done.err());
}
