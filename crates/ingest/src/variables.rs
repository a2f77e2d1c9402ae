//! `${NAME}` and `${NAME:-default}` in the paths of a mapping.
//!
//! The values are an argument: the caller takes them from the environment, a test from where it
//! likes. What a file is called in a published table never contains a value, so that the same data
//! gives the same bytes on machines that keep it elsewhere.

use std::collections::BTreeMap;

use lifecycle::Invalid;

/// Begins the names of variables that are ours.
const PREFIX: &str = "LIFECAST_";

/// Parts of the names of variables that nobody else is to know.
const SECRETS: [&str; 3] = ["KEY", "SECRET", "TOKEN"];

/// The values of the variables that a mapping's paths may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Gives a variable a value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Those that a mapping may name which comes from elsewhere: `LIFECAST_...`, but no secrets.
    ///
    /// A mapping's paths stand in errors, and files are found by them, so whoever writes a mapping
    /// learns what the variables are that it names.
    #[must_use]
    pub fn for_requests(mut self) -> Self {
        let secret = |name: &str| SECRETS.iter().any(|part| name.contains(part));
        self.0.retain(|name, _| name.starts_with(PREFIX) && !secret(name));
        self
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Variables {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// One component of a path: what it is called, and what stands there once variables are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// As in the mapping, but `$NAME` for a variable.
    pub(crate) written: String,
    /// May be a path of several components, where a variable's value is one.
    pub(crate) expanded: String,
}

/// Cuts a path of the mapping at each `/` outside `${...}` and replaces the variables.
pub(crate) fn components(path: &str, variables: &Variables) -> Result<Vec<Component>, Invalid> {
    let mut components = vec![Component { written: String::new(), expanded: String::new() }];
    let mut rest = path;
    while let Some(next) = rest.chars().next() {
        let last = components.last_mut().expect("never empty");
        if rest.starts_with("${") {
            let end = rest
                .find('}')
                .ok_or_else(|| Invalid::new("path", format!("`{path}`: `${{` without `}}`")))?;
            let (name, default) = match rest[2..end].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&rest[2..end], None),
            };
            let value = variables.value(name).or(default).ok_or_else(|| unset(name, path))?;
            last.expanded.push_str(value);
            last.written.push('$');
            last.written.push_str(name);
            rest = &rest[end + 1..];
            continue;
        }
        rest = &rest[next.len_utf8()..];
        if next == '/' {
            components.push(Component { written: String::new(), expanded: String::new() });
        } else {
            last.written.push(next);
            last.expanded.push(next);
        }
    }
    Ok(components)
}

fn unset(name: &str, path: &str) -> Invalid {
    Invalid::new("path", format!("`{path}`: variable `{name}` is not set and has no default"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(path: &str) -> Result<Vec<String>, String> {
        let variables = Variables::from_iter([("DATA", "/d/e"), ("EMPTY", "")]);
        components(path, &variables)
            .map(|all| all.into_iter().map(|component| component.expanded).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn variables_are_replaced() {
        assert_eq!(expanded("${DATA:-../x}/a*.csv"), Ok(vec!["/d/e".into(), "a*.csv".into()]));
        assert_eq!(expanded("${EMPTY:-../x}/a"), Ok(vec!["../x".into(), "a".into()]));
        assert_eq!(expanded("a/b-${DATA}"), Ok(vec!["a".into(), "b-/d/e".into()]));
        assert!(expanded("${NONE}/a").expect_err("unset").contains("`NONE` is not set"));
        assert!(expanded("${NONE/a").is_err());
    }

    #[test]
    fn requests_know_our_variables_without_secrets() {
        let names = ["LIFECAST_DATA", "LIFECAST_CUSTOMER_KEY", "LIFECAST_TOKEN_1", "PATH", "HOME"];
        let variables = Variables::from_iter(names.map(|name| (name, "x"))).for_requests();
        assert_eq!(variables, Variables::from_iter([("LIFECAST_DATA", "x")]));
    }
}
