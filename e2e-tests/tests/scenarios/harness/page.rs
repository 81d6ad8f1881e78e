//! A page for people: the commands in it, and what it says that they print.

/// The text of each block of a kind, such as `sh`.
pub fn blocks(page: &str, kind: &str) -> Vec<String> {
    let begin = format!("```{kind}\n");
    page.split(begin.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The commands that begin with `curl`: each goes on as long as its lines end in a backslash.
pub fn commands(text: &str) -> Vec<String> {
    let (mut commands, mut open) = (Vec::new(), String::new());
    for line in text.lines().map(str::trim) {
        if !open.is_empty() || line.starts_with("curl ") {
            open += line;
            open += "\n";
            if !line.ends_with('\\') {
                commands.push(std::mem::take(&mut open));
            }
        }
    }
    commands
}

/// Whether a line is what a pattern says; `…` stands for anything.
pub fn fits(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_pattern_fits_what_it_says_and_nothing_else() {
    for (line, pattern, expected) in [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("abc", "a…c", true),
        ("abcd", "a…c", false),
        ("a1b2c", "a…b…c", true),
        ("a1c", "a…b…c", false),
        ("xabc", "abc", false),
    ] {
        assert_eq!(fits(line, pattern), expected, "{line} {pattern}");
    }
}
