//! Tokens to [`model`](super::model). Every rule about events is checked here, and all faults of an item are
//! reported together.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Data, DeriveInput, Error, ExprLit, Fields, Ident, Lit, LitInt, LitStr, Path, Result,
    Token, Type, meta::ParseNestedMeta, punctuated::Punctuated, spanned::Spanned,
};

use super::model::{Alias, Event, Field, Role};

/// Errors found so far.
#[derive(Default)]
struct Faults(Option<Error>);

impl Faults {
    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn say(&mut self, at: impl ToTokens, message: impl std::fmt::Display) {
        self.add(Error::new_spanned(at, message));
    }

    /// The value, or nothing and one fault more.
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    fn finish<T>(self, value: T) -> Result<T> {
        self.0.map_or(Ok(value), Err)
    }
}

pub(crate) fn event(input: &DeriveInput, runtime: &TokenStream) -> Result<Event> {
    let members = members(input)?;
    let mut faults = Faults::default();
    let arguments = EventArguments::parse(&input.attrs, &mut faults);
    let name = arguments.name.unwrap_or_else(|| {
        faults.say(
            &input.ident,
            "an event needs a name: #[event(name = \"area.thing\")]",
        );
        String::new()
    });
    let fields: Vec<Field> = members
        .into_iter()
        .flatten()
        .filter_map(|member| field(member, &name, &mut faults))
        .collect();
    check_names(&fields, &mut faults);
    let description = description(&input.attrs, &input.ident, "an event", &mut faults);
    faults.finish(Event {
        ident: input.ident.clone(),
        generics: input.generics.clone(),
        runtime: arguments.runtime.unwrap_or_else(|| runtime.clone()),
        type_name: arguments
            .type_name
            .unwrap_or_else(|| input.ident.to_string()),
        name,
        description,
        severity: arguments
            .severity
            .unwrap_or_else(|| Ident::new("Info", Span::call_site())),
        target: arguments.target.unwrap_or_else(|| "metrics".to_owned()),
        aliases: arguments.aliases,
        count: arguments.count,
        series_max: arguments.series_max,
        fields,
    })
}

/// The named fields, or `None` for a unit struct.
fn members(input: &DeriveInput) -> Result<Option<&Punctuated<syn::Field, Token![,]>>> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "only a struct can be an event; give each variant its own struct",
        ));
    };
    match &data.fields {
        Fields::Named(fields) => Ok(Some(&fields.named)),
        Fields::Unit => Ok(None),
        Fields::Unnamed(fields) => Err(Error::new_spanned(
            fields,
            "an event has named fields, because the names are its JSON keys",
        )),
    }
}

#[derive(Default)]
struct EventArguments {
    name: Option<String>,
    type_name: Option<String>,
    severity: Option<Ident>,
    target: Option<String>,
    aliases: Vec<String>,
    count: Option<String>,
    series_max: Option<usize>,
    runtime: Option<TokenStream>,
}

impl EventArguments {
    fn parse(attributes: &[Attribute], faults: &mut Faults) -> Self {
        let mut arguments = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("event")) {
            let parsed = attribute.parse_nested_meta(|meta| arguments.argument(&meta, faults));
            faults.keep(parsed);
        }
        arguments
    }

    fn argument(&mut self, meta: &ParseNestedMeta<'_>, faults: &mut Faults) -> Result<()> {
        let key = meta
            .path
            .get_ident()
            .map(ToString::to_string)
            .unwrap_or_default();
        match key.as_str() {
            // A name that is there but wrong is one fault, not two.
            "name" => self.name = Some(faults.keep(dotted(&string(meta)?)).unwrap_or_default()),
            "count" => self.count = faults.keep(dotted(&string(meta)?)),
            "type" => self.type_name = Some(string(meta)?.value()),
            "target" => self.target = Some(string(meta)?.value()),
            "level" => self.severity = faults.keep(severity(&string(meta)?)),
            "alias" => self
                .aliases
                .extend(strings(meta)?.iter().map(LitStr::value)),
            "series_max" => {
                let number: LitInt = meta.value()?.parse()?;
                self.series_max = Some(number.base10_parse()?);
            }
            "crate" => {
                let path: Path = meta.value()?.call(Path::parse_mod_style)?;
                self.runtime = Some(quote!(#path));
            }
            _ => {
                skip_value(meta)?;
                faults.say(
                    &meta.path,
                    format_args!(
                        "`{key}` is not an argument of an event; there are name, type, level, target, alias, count, series_max and crate"
                    ),
                );
            }
        }
        Ok(())
    }
}

fn field(member: &syn::Field, event: &str, faults: &mut Faults) -> Option<Field> {
    let ident = member.ident.clone()?;
    let plain = ident.to_string().trim_start_matches("r#").to_owned();
    let duration = is_duration(&member.ty);
    let mut field = Field {
        name: if duration {
            format!("{plain}_ns")
        } else {
            plain.clone()
        },
        description: description(&member.attrs, &ident, "a field", faults),
        role: Role::Attribute,
        unit: if duration { "s" } else { "" }.to_owned(),
        aliases: Vec::new(),
        micros: None,
        ty: member.ty.clone(),
        ident,
    };
    for attribute in &member.attrs {
        let path = attribute.path();
        if path.is_ident("event") {
            let parsed =
                attribute.parse_nested_meta(|meta| field_argument(&mut field, &meta, faults));
            faults.keep(parsed);
        } else if path.is_ident("label") || path.is_ident("measure") {
            if !matches!(field.role, Role::Attribute) {
                faults.say(
                    attribute,
                    "a field is either a label or a measurement, and only once",
                );
            } else if path.is_ident("label") {
                faults.keep(attribute.meta.require_path_only());
                field.role = Role::Label;
            } else {
                measure(&mut field, attribute, &format!("{event}.{plain}"), faults);
            }
        }
    }
    Some(field)
}

fn field_argument(
    field: &mut Field,
    meta: &ParseNestedMeta<'_>,
    faults: &mut Faults,
) -> Result<()> {
    if meta.path.is_ident("rename") {
        field.name = string(meta)?.value();
    } else if meta.path.is_ident("unit") {
        field.unit = string(meta)?.value();
    } else if meta.path.is_ident("micros") {
        field.micros = Some(string(meta)?.value());
        if !is_duration(&field.ty) {
            faults.say(
                &field.ty,
                "only a Duration or Option<Duration> can be written in microseconds as well",
            );
        }
    } else if meta.path.is_ident("alias") {
        field.aliases.extend(aliases(meta)?);
    } else {
        skip_value(meta)?;
        faults.say(
            &meta.path,
            "not an argument of a field; there are rename, alias, unit and micros",
        );
    }
    Ok(())
}

/// `#[measure(histogram, name = "gpu.op.duration", unit = "s", bounds = [0.1, 1.0])]`
fn measure(field: &mut Field, attribute: &Attribute, default_name: &str, faults: &mut Faults) {
    let mut kind: Option<Ident> = None;
    let mut metric = default_name.to_owned();
    let mut bounds: Option<Vec<f64>> = None;
    let parsed = attribute.parse_nested_meta(|meta| {
        let ident = meta.path.require_ident()?;
        match ident.to_string().as_str() {
            "counter" | "gauge" | "histogram" if kind.is_none() => kind = Some(ident.clone()),
            "name" => metric = faults.keep(dotted(&string(&meta)?)).unwrap_or_default(),
            "unit" => field.unit = string(&meta)?.value(),
            "bounds" => {
                let list = meta.value()?.parse()?;
                bounds = Some(faults.keep(rising(&list)).unwrap_or_default());
            }
            _ => {
                skip_value(&meta)?;
                faults.say(
                    ident,
                    "not an argument of a measurement; there are counter, gauge or histogram, then name, unit and bounds",
                );
            }
        }
        Ok(())
    });
    faults.keep(parsed);
    let Some(kind) = kind else {
        faults.say(
            attribute,
            "say what is measured: #[measure(counter)], #[measure(gauge)] or #[measure(histogram)]",
        );
        return;
    };
    field.role = if kind == "histogram" {
        Role::Histogram(metric, bounds.unwrap_or_default())
    } else {
        if bounds.is_some() {
            faults.say(attribute, "only a histogram has bounds");
        }
        if kind == "counter" {
            Role::Counter(metric)
        } else {
            Role::Gauge(metric)
        }
    };
}

fn check_names(fields: &[Field], faults: &mut Faults) {
    let mut seen: Vec<&str> = Vec::new();
    for field in fields {
        for name in std::iter::once(&field.name).chain(&field.micros) {
            if seen.contains(&name.as_str()) {
                faults.say(
                    &field.ident,
                    format_args!("`{name}` is already the name of another field"),
                );
            }
            seen.push(name);
        }
    }
}

/// The doc comment as one paragraph. It is what users read in `docs/events.md`, so it has to be there.
fn description(attributes: &[Attribute], at: &Ident, what: &str, faults: &mut Faults) -> String {
    let lines: Vec<String> = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
        .filter_map(
            |attribute| match &attribute.meta.require_name_value().ok()?.value {
                syn::Expr::Lit(ExprLit {
                    lit: Lit::Str(text),
                    ..
                }) => Some(text.value().trim().to_owned()),
                _ => None,
            },
        )
        .collect();
    let text = lines.join(" ").trim().to_owned();
    if text.is_empty() {
        faults.say(
            at,
            format_args!(
                "{what} needs a doc comment (`/// ...`): it is the help text that users read"
            ),
        );
    }
    text
}

fn string(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    meta.value()?.parse()
}

/// `("a", "b")`
fn strings(meta: &ParseNestedMeta<'_>) -> Result<Punctuated<LitStr, Token![,]>> {
    let content;
    syn::parenthesized!(content in meta.input);
    Punctuated::parse_terminated(&content)
}

/// `("queue_time")` or `("allocated_mb", times = 1048576)`
fn aliases(meta: &ParseNestedMeta<'_>) -> Result<Vec<Alias>> {
    let content;
    syn::parenthesized!(content in meta.input);
    let (mut names, mut times) = (Vec::new(), 1);
    while !content.is_empty() {
        if content.peek(LitStr) {
            names.push(content.parse::<LitStr>()?.value());
        } else {
            let key: Ident = content.parse()?;
            if key != "times" {
                return Err(Error::new_spanned(key, "expected a name or `times = 1000`"));
            }
            content.parse::<Token![=]>()?;
            times = content.parse::<LitInt>()?.base10_parse()?;
        }
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(names
        .into_iter()
        .map(|name| Alias { name, times })
        .collect())
}

/// Reads over the value of an argument that nobody knows, so that the arguments behind it are still checked.
fn skip_value(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let content;
        syn::parenthesized!(content in meta.input);
        content.parse::<TokenStream>()?;
    }
    Ok(())
}

fn severity(level: &LitStr) -> Result<Ident> {
    let variant = match level.value().to_ascii_lowercase().as_str() {
        "trace" => "Trace",
        "debug" => "Debug",
        "info" => "Info",
        "warn" => "Warn",
        "error" => "Error",
        other => {
            return Err(Error::new_spanned(
                level,
                format_args!(
                    "`{other}` is not a level; there are trace, debug, info, warn and error"
                ),
            ));
        }
    };
    Ok(Ident::new(variant, level.span()))
}

/// A name as OpenTelemetry writes them: `gpu.op`, `hw.gpu.memory.usage`.
fn dotted(name: &LitStr) -> Result<String> {
    let text = name.value();
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    if text.split('.').all(part) {
        Ok(text)
    } else {
        Err(Error::new_spanned(
            name,
            format_args!(
                "`{text}` is not a name: write lower case words with dots between, for example `gpu.op`"
            ),
        ))
    }
}

fn rising(list: &syn::ExprArray) -> Result<Vec<f64>> {
    let bounds: Vec<f64> = list.elems.iter().map(number).collect::<Result<_>>()?;
    if bounds.windows(2).all(|pair| pair[0] < pair[1]) {
        Ok(bounds)
    } else {
        Err(Error::new_spanned(list, "bounds have to rise"))
    }
}

fn number(expression: &syn::Expr) -> Result<f64> {
    match expression {
        syn::Expr::Lit(ExprLit {
            lit: Lit::Float(float),
            ..
        }) => float.base10_parse(),
        syn::Expr::Lit(ExprLit {
            lit: Lit::Int(int), ..
        }) => int.base10_parse(),
        other => Err(Error::new(other.span(), "expected a number")),
    }
}

/// Whether a type is written `Duration` or `Option<Duration>`. Such a field's JSON name ends in `_ns`, because
/// that is what is written; a type under another name needs `#[event(rename = "...")]`.
fn is_duration(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    if last.ident == "Duration" {
        return true;
    }
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return false;
    };
    last.ident == "Option"
        && arguments.args.iter().any(
            |argument| matches!(argument, syn::GenericArgument::Type(inner) if is_duration(inner)),
        )
}
