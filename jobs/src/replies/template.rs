//! The templates of answers: a small part of Jinja.
//!
//! A template comes from a tenant, and is rendered while the transaction of an inbound message waits. So it can do
//! little: show and compare values of the message and the contact, choose, and repeat. It cannot name a value, so that
//! none grows from step to step: doubling a text forty times would take the memory of the machine, and fuel counts steps
//! only. The syntax tree is checked for that before a template is compiled.

use std::{collections::BTreeMap, io};

use minijinja::{
    Environment, ErrorKind, UndefinedBehavior, filters,
    machinery::{
        WhitespaceConfig,
        ast::{BinOpKind, CallArg, Expr, Stmt},
        parse,
    },
};
use serde::Serialize;

use crate::model::auto_reply::TEMPLATE_MAX;

/// How deep an expression may be nested. The parser bounds statements.
const DEPTH_MAX: usize = 60;
/// Steps of a template.
const FUEL: u64 = 20_000;

/// Why a template is refused, or made no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TemplateError {
    /// It has more than [`TEMPLATE_MAX`] bytes.
    TooLong,
    /// It is no template.
    Syntax,
    /// It uses a part of Jinja that there is not here.
    Unsupported,
    /// It names a value that there is not.
    UnknownValue,
    /// It takes too many steps.
    Fuel,
    /// The text has more than [`TEMPLATE_MAX`] bytes.
    Output,
    /// The text is empty.
    Empty,
    /// It failed with these values.
    Failed,
}

/// What a template can show of the message.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct MessageShown {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// What a template can show of the contact.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ContactShown {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) push_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phone: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// The values of a template.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Values {
    pub(super) message: MessageShown,
    pub(super) contact: ContactShown,
}

/// Every value, each with its names.
const VALUES: &[(&str, &[&str])] = &[
    ("message", &["text", "type"]),
    ("contact", &["id", "name", "push_name", "phone", "metadata"]),
];

/// Checks a template without rendering it.
pub(super) fn check(source: &str) -> Result<(), TemplateError> {
    if source.len() > TEMPLATE_MAX {
        return Err(TemplateError::TooLong);
    }
    let syntax = minijinja::syntax::SyntaxConfig;
    let whitespace = WhitespaceConfig {
        keep_trailing_newline: true,
        ..WhitespaceConfig::default()
    };
    let parsed = parse(source, "", syntax, whitespace).map_err(|_| TemplateError::Syntax)?;
    let mut walk = Walk { loops: Vec::new() };
    walk.statement(&parsed)?;
    environment()
        .template_from_str(source)
        .map_err(|error| kind_of(&error))?;
    Ok(())
}

/// Returns the text that a template makes of the values.
pub(super) fn render(source: &str, values: &Values) -> Result<String, TemplateError> {
    check(source)?;
    let environment = environment();
    let template = environment
        .template_from_str(source)
        .map_err(|error| kind_of(&error))?;
    let mut output = Bounded::default();
    let rendered = template.render_captured_to(values, &mut output).map(drop);
    if output.is_full {
        return Err(TemplateError::Output);
    }
    rendered.map_err(|error| kind_of(&error))?;
    let text = String::from_utf8(output.bytes).map_err(|_| TemplateError::Failed)?;
    if text.trim().is_empty() {
        return Err(TemplateError::Empty);
    }
    Ok(text)
}

fn kind_of(error: &minijinja::Error) -> TemplateError {
    match error.kind() {
        ErrorKind::OutOfFuel => TemplateError::Fuel,
        ErrorKind::SyntaxError | ErrorKind::BadEscape => TemplateError::Syntax,
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => {
            TemplateError::Unsupported
        }
        _ => TemplateError::Failed,
    }
}

/// The filters that there are. None of them makes a value much larger.
const FILTERS: &[&str] = &[
    "default",
    "d",
    "upper",
    "lower",
    "capitalize",
    "title",
    "trim",
    "length",
    "first",
    "last",
];
/// The tests that there are.
const TESTS: &[&str] = &["defined", "undefined"];

fn environment<'s>() -> Environment<'s> {
    let mut environment = Environment::empty();
    environment.set_keep_trailing_newline(true);
    // A value that is not known is an empty text, also one below it.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    environment.add_filter("default", filters::default);
    environment.add_filter("d", filters::default);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("capitalize", filters::capitalize);
    environment.add_filter("title", filters::title);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("length", filters::length);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_test("defined", minijinja::tests::is_defined);
    environment.add_test("undefined", minijinja::tests::is_undefined);
    environment
}

/// Takes [`TEMPLATE_MAX`] bytes, and no more.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > TEMPLATE_MAX {
            self.is_full = true;
            return Err(io::Error::other("the text is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Checks a syntax tree.
struct Walk<'t> {
    /// The variables of the loops around this place.
    loops: Vec<&'t str>,
}

impl<'t> Walk<'t> {
    fn statements(&mut self, all: &[Stmt<'t>]) -> Result<(), TemplateError> {
        all.iter().try_for_each(|one| self.statement(one))
    }

    fn statement(&mut self, one: &Stmt<'t>) -> Result<(), TemplateError> {
        match one {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr, 0),
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr, 0)?;
                self.statements(&condition.true_body)?;
                self.statements(&condition.false_body)
            }
            Stmt::ForLoop(each) if !each.recursive => {
                self.expression(&each.iter, 0)?;
                self.statements(&each.else_body)?;
                let Expr::Var(variable) = &each.target else {
                    return Err(TemplateError::Unsupported);
                };
                self.loops.push(variable.id);
                if let Some(filter) = &each.filter_expr {
                    self.expression(filter, 0)?;
                }
                self.statements(&each.body)?;
                self.loops.pop();
                Ok(())
            }
            _ => Err(TemplateError::Unsupported),
        }
    }

    fn expressions<'e>(
        &self,
        all: impl IntoIterator<Item = &'e Expr<'t>>,
        depth: usize,
    ) -> Result<(), TemplateError>
    where
        't: 'e,
    {
        let mut all = all.into_iter();
        all.try_for_each(|one| self.expression(one, depth + 1))
    }

    fn expression(&self, one: &Expr<'t>, depth: usize) -> Result<(), TemplateError> {
        if depth > DEPTH_MAX {
            return Err(TemplateError::Unsupported);
        }
        match one {
            Expr::Const(_) => Ok(()),
            Expr::Var(variable) => self.is_known(variable.id, None),
            Expr::GetAttr(of) => match &of.expr {
                Expr::Var(variable) => self.is_known(variable.id, Some(of.name)),
                inner => self.expression(inner, depth + 1),
            },
            Expr::GetItem(of) => self.expressions([&of.expr, &of.subscript_expr], depth),
            Expr::UnaryOp(of) => self.expression(&of.expr, depth + 1),
            // A text that is multiplied can be of any length.
            Expr::BinOp(of) if matches!(of.op, BinOpKind::Mul | BinOpKind::Pow) => {
                Err(TemplateError::Unsupported)
            }
            Expr::BinOp(of) => self.expressions([&of.left, &of.right], depth),
            Expr::Compare(of) => {
                self.expression(&of.expr, depth + 1)?;
                self.expressions(of.ops.iter().map(|op| &op.expr), depth)
            }
            Expr::IfExpr(of) => {
                self.expressions([&of.test_expr, &of.true_expr], depth)?;
                self.expressions(&of.false_expr, depth)
            }
            Expr::Filter(of) if FILTERS.contains(&of.name) => {
                self.expressions(&of.expr, depth)?;
                self.arguments(&of.args, depth)
            }
            Expr::Test(of) if TESTS.contains(&of.name) => {
                self.expression(&of.expr, depth + 1)?;
                self.arguments(&of.args, depth)
            }
            Expr::List(of) => self.expressions(&of.items, depth),
            _ => Err(TemplateError::Unsupported),
        }
    }

    fn arguments(&self, all: &[CallArg<'t>], depth: usize) -> Result<(), TemplateError> {
        all.iter().try_for_each(|one| match one {
            CallArg::Pos(value) => self.expression(value, depth + 1),
            _ => Err(TemplateError::Unsupported),
        })
    }

    fn is_known(&self, name: &str, below: Option<&str>) -> Result<(), TemplateError> {
        if self.loops.contains(&name) {
            return Ok(());
        }
        let value = VALUES.iter().find(|(value, _)| *value == name);
        let (_, names) = value.ok_or(TemplateError::UnknownValue)?;
        match below {
            Some(below) if names.contains(&below) => Ok(()),
            // The whole message or contact is no text.
            _ => Err(TemplateError::UnknownValue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Values {
        Values {
            message: MessageShown {
                text: Some("When do you open?".into()),
                kind: "text".into(),
            },
            contact: ContactShown {
                name: Some("Ada".into()),
                metadata: BTreeMap::from([("customer".into(), "1815".into())]),
                ..ContactShown::default()
            },
        }
    }

    #[test]
    fn replies_templates_show_the_message_and_the_contact() {
        for (source, text) in [
            ("We are closed.", "We are closed."),
            ("Hello {{ contact.name }}!", "Hello Ada!"),
            (
                "You wrote: {{ message.text | upper }}",
                "You wrote: WHEN DO YOU OPEN?",
            ),
            ("{{ contact.phone | default('no phone') }}", "no phone"),
            ("[{{ contact.phone }}]", "[]"),
            ("Customer {{ contact.metadata.customer }}", "Customer 1815"),
            ("{{ contact.metadata['customer'] }}", "1815"),
            ("[{{ contact.metadata.none.below }}]", "[]"),
            (
                "{% if contact.name %}Dear {{ contact.name }}{% else %}Hello{% endif %}",
                "Dear Ada",
            ),
            (
                "{% for day in ['Mon', 'Tue'] %}{{ day }} {% endfor %}",
                "Mon Tue ",
            ),
            ("{{ contact.name }} & <b>\"'", "Ada & <b>\"'"),
            ("{% raw %}{{ so }}{% endraw %}", "{{ so }}"),
            ("line\n", "line\n"),
            (
                "{{ 'yes' if contact.push_name is defined else 'no' }}",
                "no",
            ),
        ] {
            assert_eq!(render(source, &ada()).as_deref(), Ok(text), "{source}");
        }
    }

    #[test]
    fn replies_templates_cannot_name_values_multiply_or_load() {
        let nested = |open: &str, close: &str| {
            let times = (TEMPLATE_MAX - 10) / (open.len() + close.len());
            format!("{{{{ {}1{} }}}}", open.repeat(times), close.repeat(times))
        };
        let (brackets, minus) = (nested("(", ")"), nested("-", ""));
        let (not, added) = (nested("not ", ""), nested("", " ~ 1"));
        for (source, why) in [
            ("{{ contact.name", TemplateError::Syntax),
            ("{% if %}", TemplateError::Syntax),
            ("{{ contact.nme }}", TemplateError::UnknownValue),
            ("{{ contact }}", TemplateError::UnknownValue),
            ("{{ order }}", TemplateError::UnknownValue),
            ("{% set a = 'x' %}", TemplateError::Unsupported),
            ("{% set a %}x{% endset %}", TemplateError::Unsupported),
            (
                "{% with a = 'x' %}{% endwith %}",
                TemplateError::Unsupported,
            ),
            (
                "{% filter upper %}x{% endfilter %}",
                TemplateError::Unsupported,
            ),
            ("{{ 'x' * 1000000000 }}", TemplateError::Unsupported),
            ("{{ 9 ** 9 }}", TemplateError::Unsupported),
            ("{{ range(100000) }}", TemplateError::Unsupported),
            (
                "{{ message.text | replace('', message.text) }}",
                TemplateError::Unsupported,
            ),
            ("{{ message.text.upper() }}", TemplateError::Unsupported),
            ("{{ {'a': 1} }}", TemplateError::Unsupported),
            ("{{ message.text[::-1] }}", TemplateError::Unsupported),
            (&brackets, TemplateError::Unsupported),
            (&minus, TemplateError::Unsupported),
            (&not, TemplateError::Unsupported),
            (&added, TemplateError::Unsupported),
        ] {
            let found = check(source);
            let is_refused = found == Err(why)
                // What this build has no statement for is no syntax either.
                || (why == TemplateError::Unsupported && found == Err(TemplateError::Syntax));
            assert!(is_refused, "{source}: {found:?}");
        }
        for absent in [
            "{% include 'x' %}",
            "{% extends 'x' %}",
            "{% macro a() %}{% endmacro %}",
        ] {
            assert!(check(absent).is_err(), "{absent}");
        }
    }

    #[test]
    fn replies_templates_end_in_steps_and_in_bytes() {
        let digits = "[1,2,3,4,5,6,7,8,9]";
        let mut endless = "x".to_owned();
        for n in 0..6 {
            endless = format!("{{% for a{n} in {digits} %}}{endless}{{% endfor %}}");
        }
        assert_eq!(render(&endless, &ada()), Err(TemplateError::Output));
        let mut quiet = String::new();
        for n in 0..6 {
            quiet = format!("{{% for a{n} in {digits} %}}{quiet}{{% endfor %}}");
        }
        assert_eq!(render(&quiet, &ada()), Err(TemplateError::Fuel));
        assert_eq!(render(" \n", &ada()), Err(TemplateError::Empty));
    }

    #[test]
    fn replies_templates_are_bounded_to_the_byte() {
        let fits = "ä".repeat(TEMPLATE_MAX / 2);
        assert_eq!(
            render(&fits, &ada()).map(|text| text.len()),
            Ok(TEMPLATE_MAX)
        );
        assert_eq!(check(&format!("{fits}x")), Err(TemplateError::TooLong));
        let mut values = ada();
        values.message.text = Some("x".repeat(TEMPLATE_MAX));
        assert!(render("{{ message.text }}", &values).is_ok());
        assert_eq!(
            render("{{ message.text }}!", &values),
            Err(TemplateError::Output)
        );
    }
}
