//! Code blocks and commands in Markdown, and patterns for what the commands print.

/// The content of each code block in a language, such as `sh`.
pub fn code_blocks(page: &str, kind: &str) -> Vec<String> {
    let begin = format!("```{kind}\n");
    page.split(begin.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The commands that start with `curl`. A line that ends in a backslash continues on the next.
pub fn curl_commands(text: &str) -> Vec<String> {
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

/// Whether a line matches a pattern, in which `…` stands for any text.
pub fn matches_pattern(line: &str, pattern: &str) -> bool {
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
fn an_ellipsis_matches_any_text_and_everything_else_matches_literally() {
    for (line, pattern, expected) in [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("abc", "a…c", true),
        ("abcd", "a…c", false),
        ("a1b2c", "a…b…c", true),
        ("a1c", "a…b…c", false),
        ("xabc", "abc", false),
    ] {
        assert_eq!(matches_pattern(line, pattern), expected, "{line} {pattern}");
    }
}
