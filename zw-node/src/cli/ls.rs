//! `zw ls`: the children of a znode, page by page, so that any number of them can be listed.

use super::error::code_of;
use super::{CliError, Context};
use clap::Args;
use std::io::Write;
use zw_core::client::{Client, child_path};
use zw_core::wire::client::{Children, ChildrenPage, ErrorCode};

/// List a znode's children
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which znode
    #[arg(default_value = "/")]
    path: String,
    /// All below it, as whole paths
    #[arg(short = 'R', long)]
    recursive: bool,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let client = context.client(None).await?;
    let mut names = Names { json: context.json, count: 0, out: &mut context.out };
    if options.recursive {
        recursive(&client, &options.path, &mut names).await?;
    } else {
        let mut after = String::new();
        loop {
            let page = client.children_page(page_after(&options.path, after, false)).await?;
            for name in &page.names {
                names.put(name)?;
            }
            match page.names.last() {
                Some(last) if page.more => after = last.clone(),
                _ => break,
            }
        }
    }
    names.end()
}

/// Depth first, each level in order. What goes meanwhile is skipped.
async fn recursive<W: Write>(client: &Client, root: &str, names: &mut Names<'_, W>) -> Result<(), CliError> {
    struct Level {
        path: String,
        page: ChildrenPage,
        next: usize,
    }
    let first = client.children_page(page_after(root, String::new(), true)).await?;
    let mut levels = vec![Level { path: root.to_owned(), page: first, next: 0 }];
    while let Some(level) = levels.last_mut() {
        let at = level.next;
        level.next += 1;
        let (path, after) = match (level.page.names.get(at), level.page.names.last()) {
            (Some(name), _) => {
                let path = child_path(&level.path, name);
                names.put(&path)?;
                if level.page.stats.get(at).is_some_and(|stat| stat.num_children == 0) {
                    continue;
                }
                (path, String::new())
            }
            (None, Some(last)) if level.page.more => (level.path.clone(), last.clone()),
            _ => {
                levels.pop();
                continue;
            }
        };
        let continues = !after.is_empty();
        match client.children_page(page_after(&path, after, true)).await {
            Ok(page) => {
                if continues {
                    levels.pop();
                }
                levels.push(Level { path, page, next: 0 });
            }
            Err(error) if code_of(&error) == Some(ErrorCode::NoNode) => {
                if continues {
                    levels.pop();
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn page_after(path: &str, after: String, with_stat: bool) -> Children {
    Children { path: path.to_owned(), watch: false, after, limit: 0, with_stat }
}

/// Prints names as they come: lines, or the elements of one JSON array.
struct Names<'a, W: Write> {
    json: bool,
    count: u64,
    out: &'a mut W,
}

impl<W: Write> Names<'_, W> {
    fn put(&mut self, name: &str) -> Result<(), CliError> {
        if self.json {
            self.out.write_all(if self.count == 0 { b"[" } else { b"," })?;
            serde_json::to_writer(&mut *self.out, name).map_err(std::io::Error::from)?;
        } else {
            writeln!(self.out, "{name}")?;
        }
        self.count += 1;
        Ok(())
    }

    fn end(self) -> Result<(), CliError> {
        if self.json {
            self.out.write_all(if self.count == 0 { b"[]\n" } else { b"]\n" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(json: bool, given: &[&str]) -> String {
        let mut out = Vec::new();
        let mut names = Names { json, count: 0, out: &mut out };
        for name in given {
            names.put(name).unwrap();
        }
        names.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_lines_or_one_json_array() {
        assert_eq!(listed(false, &["a", "b"]), "a\nb\n");
        assert_eq!(listed(true, &["a", "q\"uote"]), "[\"a\",\"q\\\"uote\"]\n");
        assert_eq!(listed(true, &[]), "[]\n");
    }
}
