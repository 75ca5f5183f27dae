//! Tests of the tree's view.

use super::*;

fn page(names: std::ops::Range<u32>, total: u32) -> ChildrenPage {
    let stat = Stat { num_children: total, ..Stat::default() };
    let more = names.end < total;
    let names: Vec<String> = names.map(|number| format!("z{number:06}")).collect();
    ChildrenPage { stats: vec![Stat::default(); names.len()], names, stat, more }
}

fn open_root(total: u32) -> TreeView {
    let mut view = TreeView::default();
    let effects = view.refresh(Zxid(1));
    assert!(effects.contains(&Effect::Children { node: 0, path: "/".into(), after: String::new() }));
    assert!(effects.contains(&Effect::Value { node: 0, path: "/".into() }));
    view.take_children("/", "", Ok(page(0..total.min(PAGE_ROWS), total)));
    view
}

#[test]
fn opening_reads_and_closing_hides() {
    let mut view = open_root(3);
    assert_eq!(view.count(), 4);
    view.move_by(2);
    assert_eq!(view.selected(), "/z000001");
    let effects = view.unfold();
    assert_eq!(effects, [Effect::Children { node: 0, path: "/z000001".into(), after: String::new() }]);
    view.take_children("/z000001", "", Ok(page(0..2, 2)));
    assert_eq!(view.count(), 6);
    assert_eq!(view.row(3).unwrap().path, "/z000001/z000000");
    view.move_by(1);
    view.fold();
    assert_eq!(view.selected(), "/z000001", "a leaf's fold goes to its parent");
    view.fold();
    assert_eq!(view.count(), 4);
}

/// What fails at once would be asked again at once, for ever.
#[test]
fn what_could_not_be_read_is_not_asked_again_by_itself() {
    let mut view = open_root(2_500);
    view.move_by(i64::MAX);
    let failed = view.take_children("/", "z000999", Err("no such znode".into()));
    assert!(failed.iter().all(|effect| !matches!(effect, Effect::Children { .. })), "{failed:?}");
    let again = view.move_by(-1);
    assert!(again.contains(&Effect::Children { node: 0, path: "/".into(), after: "z000999".into() }), "a key asks");
}

#[test]
fn a_long_listing_is_read_page_by_page() {
    let mut view = open_root(2_500);
    assert_eq!(view.count(), 1 + 1_000 + 1);
    assert!(view.move_by(10).iter().all(|effect| matches!(effect, Effect::Value { .. })), "far from the end");
    let effects = view.move_by(i64::MAX);
    assert!(effects.contains(&Effect::Children { node: 0, path: "/".into(), after: "z000999".into() }));
    assert_eq!(view.move_by(-1), [], "one question at a time");
    assert_eq!(view.take_children("/", "z000999", Ok(page(1_000..2_000, 2_500))), []);
    assert_eq!((view.count(), view.selected()), (1 + 2_000 + 1, "/z000999".into()), "the cursor stays");
    assert!(matches!(view.row(view.count() - 1).unwrap().kind, RowKind::Unread { count: Some(500) }));
}

#[test]
fn the_end_is_where_the_last_page_ends() {
    let mut view = open_root(3_000);
    view.take_value("/".into(), Ok((Bytes::new(), Stat::default())));
    let mut effects = view.move_by(i64::MAX / 2);
    for (after, names) in [("z000999", 1_000..2_000), ("z001999", 2_000..3_000)] {
        assert_eq!(effects, [Effect::Children { node: 0, path: "/".into(), after: after.into() }]);
        assert_eq!(view.cursor(), view.count() - 1);
        effects = view.take_children("/", after, Ok(page(names, 3_000)));
    }
    assert_eq!(effects, [Effect::Value { node: 0, path: "/z002999".into() }]);
    assert_eq!(view.cursor(), 3_000);
    // On its way there, any other movement stops it.
    let mut view = open_root(3_000);
    view.move_by(i64::MAX / 2);
    view.move_by(-200);
    assert_eq!(view.take_children("/", "z000999", Ok(page(1_000..2_000, 3_000))), []);
    assert_eq!(view.selected(), "/z000800");
}

#[test]
fn a_filter_looks_through_all_pages_one_at_a_time() {
    let mut view = open_root(2_500);
    view.move_by(4);
    view.take_value("/z000003".into(), Ok((Bytes::new(), Stat::default())));
    let parent = view.filterable();
    let asked = |effects: &[Effect]| -> Vec<String> {
        let after = |effect: &Effect| match effect {
            Effect::Children { after, .. } => Some(after.clone()),
            _ => None,
        };
        effects.iter().filter_map(after).collect()
    };
    let effects = view.set_filter(&parent, Matcher::new("99"));
    assert_eq!(asked(&effects), ["z000999"]);
    let found = |view: &TreeView| view.found().unwrap().1;
    assert_eq!(found(&view), Found { matches: 19, of: 1_000, more: true });
    assert_eq!(view.selected(), "/z000099");
    assert_eq!(asked(&view.set_filter(&parent, Matcher::new("999"))), Vec::<String>::new(), "one at a time");
    assert_eq!((found(&view).matches, view.selected()), (1, "/z000999".into()));
    let effects = view.take_children("/", "z000999", Ok(page(1_000..2_000, 2_500)));
    assert_eq!(asked(&effects), ["z001999"]);
    view.take_children("/", "z001999", Ok(page(2_000..2_500, 2_500)));
    assert_eq!(found(&view), Found { matches: 2, of: 2_500, more: false });
    assert_eq!(view.count(), 3);
    view.move_by(1);
    assert_eq!(view.selected(), "/z001999");
    view.set_filter(&parent, None);
    assert_eq!((view.count(), view.selected()), (2_501, "/z001999".into()), "it stays selected");
}

#[test]
fn what_is_open_stays_open_in_a_filter() {
    let mut view = open_root(30);
    view.move_by(12);
    view.unfold();
    view.take_children("/z000011", "", Ok(page(0..2, 2)));
    assert_eq!(view.count(), 33);
    view.set_filter("/", Matcher::new("1"));
    // The root, z..1, z..10 to z..19, z..21, and the two below z..11.
    assert_eq!(view.count(), 1 + 12 + 2);
    assert_eq!(view.row(4).map(|row| (row.path, row.depth)), Some(("/z000011/z000000".into(), 2)));
    assert_eq!(view.row(6).map(|row| row.path), Some("/z000012".into()));
    assert_eq!(view.row(15), None);
    let all: Vec<String> = view.window(0, 100).map(|row| row.path).collect();
    for (index, path) in all.iter().enumerate() {
        view.select(path);
        assert_eq!(view.cursor(), index, "{path}");
    }
}

#[test]
fn the_selection_survives_a_refresh_and_another_node() {
    let mut view = open_root(5);
    view.move_by(4);
    view.refresh(Zxid(2));
    view.take_children("/", "", Ok(page(2..5, 5)));
    assert_eq!(view.selected(), "/z000003");
    view.show(2);
    assert_eq!(view.selected(), "/", "nothing of the other node is known yet");
    view.refresh(Zxid(2));
    view.take_children("/", "", Ok(page(0..5, 5)));
    assert_eq!(view.count(), 6);
}

#[test]
fn a_failure_keeps_what_was_shown() {
    let mut view = open_root(3);
    view.refresh(Zxid(2));
    view.take_children("/", "", Err("no answer".into()));
    assert_eq!((view.count(), view.error.as_deref()), (4, Some("no answer")));
    view.refresh(Zxid(3));
    view.take_children("/", "", Ok(page(0..3, 3)));
    assert_eq!(view.error, None);
}

#[test]
fn what_failed_is_read_again_with_the_next_answer() {
    let mut view = open_root(3);
    view.take_value("/".into(), Ok((Bytes::new(), Stat::default())));
    assert!(view.refresh(Zxid(1)).is_empty(), "nothing happened");
    view.refresh_now();
    view.take_children("/", "", Err("the server closed the connection".into()));
    view.take_value("/".into(), Ok((Bytes::new(), Stat::default())));
    assert_eq!(view.refresh(Zxid(1)).len(), 2, "the node has applied nothing since, and answers");
    view.take_children("/", "", Ok(page(0..4, 4)));
    assert_eq!((view.count(), view.error.as_deref()), (5, None));
    view.take_value("/".into(), Err("no answer".into()));
    assert!(view.refresh(Zxid(1)).contains(&Effect::Value { node: 0, path: "/".into() }));
}

#[test]
fn a_value_of_a_row_that_was_left_is_not_shown() {
    let mut view = open_root(3);
    view.move_by(1);
    let effects = view.take_value("/".into(), Ok((Bytes::new(), Stat::default())));
    assert_eq!(view.value, None);
    assert_eq!(effects, [Effect::Value { node: 0, path: "/z000000".into() }]);
}
