//! The table that `show` prints: where every node stands.

use crate::stage::Stage;
use crate::words;
use zw_core::ids::NodeId;
use zw_core::zab::effects::Role;

/// Prints the table.
pub(crate) fn show(stage: &mut Stage) {
    let head = ["node", "role", "promise", "log", "on disk", "committed", "delivered"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(stage.nodes.keys().map(|id| row(stage, *id)));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        stage.lines.push(cells.join("  ").trim_end().to_owned());
    }
}

fn row(stage: &Stage, id: NodeId) -> [String; 7] {
    let node = &stage.nodes[&id];
    let durable = &node.disk.durable;
    let base = durable.snapshot.zxid;
    let snapshot = if base.0 > 0 { format!("[{base}] ") } else { String::new() };
    let disk = format!("{snapshot}{}", words::zxids(&durable.entries));
    let promise = durable.promise;
    let promised = format!("{} to {}", promise.epoch, promise.leader);
    let Some(zab) = &node.zab else {
        let none = || "-".to_owned();
        return [id.to_string(), "crashed".into(), promised, none(), disk, none(), none()];
    };
    let role = match (zab.role(), zab.leader()) {
        _ if node.paused => "paused".into(),
        (Role::Following, Some(leader)) => format!("follows {leader}"),
        (Role::Syncing, Some(leader)) => format!("joins {leader}"),
        (Role::Leading, _) => "leads".into(),
        (Role::Discovering, _) => "is elected".into(),
        (_, _) => "looks".into(),
    };
    let log = words::zxids(zab.log_entries());
    let (committed, delivered) = (zab.committed().to_string(), zab.delivered().to_string());
    [id.to_string(), role, promised, log, disk, committed, delivered]
}
