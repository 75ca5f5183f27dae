//! The committed corpus of the fuzz targets (`zw-core/fuzz`), replayed: what was once found stays found.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, missing_docs, reason = "the fuzz targets take it for a library")]
mod properties;

use std::fs;
use std::path::PathBuf;

#[test]
fn every_property_holds_for_its_corpus() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, check) in properties::TARGETS {
        let folder = fs::read_dir(corpus.join(target)).expect("each target has a corpus");
        let mut inputs = 0;
        for file in folder {
            let path = file.expect("a folder that can be read").path();
            let bytes = fs::read(&path).expect("a file that can be read");
            let outcome = std::panic::catch_unwind(|| check(&bytes));
            assert!(outcome.is_ok(), "{target} fails for {}", path.display());
            inputs += 1;
        }
        assert!(inputs >= 10, "the corpus of {target} has only {inputs} inputs");
    }
}
