//! [`model`](super::model) to implementations. Everything is named through the hidden runtime module.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Generics, Lifetime, Type, parse_quote, spanned::Spanned};

use super::model::{Event, Field, Role};

pub(crate) fn event(event: &Event) -> TokenStream {
    let runtime = &event.runtime;
    let implementation = implementation(event);
    let reading = reading(event);
    let json = json(event);
    quote! {
        const _: () = {
            use #runtime::__private as __rs;
            #implementation
            #reading
            #json
        };
    }
}

fn implementation(event: &Event) -> TokenStream {
    let Event {
        ident,
        name,
        type_name,
        description,
        severity,
        target,
        aliases,
        ..
    } = event;
    let generics = bounded(event);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, type_generics, _) = event.generics.split_for_impl();
    let series_max = event.series_max.map_or_else(
        || quote!(__rs::Descriptor::SERIES_MAX_DEFAULT),
        |limit| quote!(#limit),
    );
    let count = option(event.count.as_ref());
    let descriptors = event.fields.iter().map(descriptors);
    let encoding = encoding(&event.fields);
    quote! {
        #[automatically_derived]
        impl #impl_generics __rs::Event for #ident #type_generics #where_clause {
            const DESCRIPTOR: &'static __rs::Descriptor = &__rs::Descriptor {
                name: #name,
                type_name: #type_name,
                description: #description,
                severity: __rs::Severity::#severity,
                target: #target,
                aliases: &[#(#aliases),*],
                count: #count,
                fields: &[#(#descriptors),*],
                series_max: #series_max,
            };

            #[inline]
            fn encode(&self, __rs_encoder: &mut __rs::Encoder<'_>) {
                #encoding
            }
        }
    }
}

/// The field's description, after the one of its twin in microseconds if it has one.
fn descriptors(field: &Field) -> TokenStream {
    let Field {
        name,
        description,
        unit,
        ty,
        ..
    } = field;
    let aliases = field.aliases.iter().map(|alias| {
        let (name, times) = (&alias.name, alias.times);
        quote!(__rs::FieldAlias { name: #name, times: #times })
    });
    let twin = field.micros.as_ref();
    let twin_descriptor = twin.map(|twin| {
        let description = format!("`{name}` in whole microseconds.");
        quote! {
            __rs::FieldDescriptor {
                name: #twin,
                description: #description,
                role: __rs::Role::Attribute,
                unit: "us",
                field_type: __rs::FieldKind::U64,
                aliases: &[],
            },
        }
    });
    let twin_alias = twin.map(|twin| quote!(__rs::FieldAlias { name: #twin, times: 1000 },));
    let role = role(&field.role);
    quote! {
        #twin_descriptor
        __rs::FieldDescriptor {
            name: #name,
            description: #description,
            role: #role,
            unit: #unit,
            field_type: <#ty as __rs::FieldType>::KIND,
            aliases: &[#twin_alias #(#aliases),*],
        }
    }
}

fn role(role: &Role) -> TokenStream {
    match role {
        Role::Attribute => quote!(__rs::Role::Attribute),
        Role::Label => quote!(__rs::Role::Label),
        Role::Counter(metric) => quote!(__rs::Role::Counter { metric: #metric }),
        Role::Gauge(metric) => quote!(__rs::Role::Gauge { metric: #metric }),
        Role::Histogram(metric, bounds) => {
            quote!(__rs::Role::Histogram { metric: #metric, bounds: &[#(#bounds),*] })
        }
    }
}

fn encoding(fields: &[Field]) -> TokenStream {
    let mut index = 0_u16;
    let mut next = || {
        index += 1;
        index - 1
    };
    let statements = fields.iter().map(|field| {
        let ident = &field.ident;
        let twin = field.micros.as_ref().map(|_| {
            let index = next();
            quote!(__rs::Encoder::field(__rs_encoder, #index, &__rs::WholeMicros::whole_micros(&self.#ident));)
        });
        let index = next();
        // A type which no event can hold is reported where it is written; names are looked up as everywhere else.
        let at = Span::call_site().located_at(field.ty.span());
        let field = quote_spanned!(at=> __rs::Encoder::field(__rs_encoder, #index, &self.#ident););
        quote!(#twin #field)
    });
    quote!(#(#statements)*)
}

/// Typed reading, for events whose fields can all be read back.
fn reading(event: &Event) -> TokenStream {
    let ident = &event.ident;
    let lifetime: Lifetime = parse_quote!('__rs);
    let mut generics = bounded(event);
    generics.params.insert(0, parse_quote!(#lifetime));
    let types = event.fields.iter().map(|field| &field.ty);
    generics.make_where_clause().predicates.extend(
        types.map(|ty| -> syn::WherePredicate { parse_quote!(#ty: __rs::FromField<#lifetime>) }),
    );
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, type_generics, _) = event.generics.split_for_impl();
    let mut index = 0_usize;
    let members = event.fields.iter().map(|field| {
        index += usize::from(field.micros.is_some());
        let at = index;
        index += 1;
        let (ident, ty) = (&field.ident, &field.ty);
        quote!(#ident: __rs::read_field::<Self, #ty>(__source, #at)?)
    });
    let value = if event.fields.is_empty() {
        quote!(Self {})
    } else {
        quote!(Self { #(#members),* })
    };
    quote! {
        #[automatically_derived]
        impl #impl_generics __rs::ReadEvent<#lifetime> for #ident #type_generics #where_clause {
            fn read(__source: __rs::Source<#lifetime>) -> __rs::core::result::Result<Self, __rs::ReadError> {
                let _ = __source;
                __rs::core::result::Result::Ok(#value)
            }
        }
    }
}

/// `{"type": ..., "data": {...}}` in both directions.
fn json(event: &Event) -> TokenStream {
    let ident = &event.ident;
    let (_, type_generics, _) = event.generics.split_for_impl();
    let this: Type = parse_quote!(#ident #type_generics);
    let mut writing = event.generics.clone();
    writing
        .make_where_clause()
        .predicates
        .push(parse_quote!(#this: __rs::Event));
    let (write_generics, _, write_where) = writing.split_for_impl();
    let mut from = event.generics.clone();
    from.params.insert(0, parse_quote!('__de));
    from.make_where_clause()
        .predicates
        .push(parse_quote!(for<'__rs> #this: __rs::ReadEvent<'__rs>));
    let (read_generics, _, read_where) = from.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #write_generics __rs::serde::Serialize for #this #write_where {
            fn serialize<__S: __rs::serde::Serializer>(&self, __rs_serializer: __S) -> __rs::core::result::Result<__S::Ok, __S::Error> {
                __rs::serialize(self, __rs_serializer)
            }
        }

        #[automatically_derived]
        impl #read_generics __rs::serde::Deserialize<'__de> for #this #read_where {
            fn deserialize<__D: __rs::serde::Deserializer<'__de>>(__rs_deserializer: __D) -> __rs::core::result::Result<Self, __D::Error> {
                __rs::deserialize(__rs_deserializer)
            }
        }
    }
}

/// The event's generics with the bounds that its field types need where they name a type parameter.
fn bounded(event: &Event) -> Generics {
    let mut generics = event.generics.clone();
    if generics.type_params().next().is_some() {
        let types = event.fields.iter().map(|field| &field.ty);
        generics
            .make_where_clause()
            .predicates
            .extend(types.map(|ty| -> syn::WherePredicate {
                parse_quote!(#ty: __rs::EventValue + __rs::FieldType)
            }));
    }
    generics
}

fn option(text: Option<&String>) -> TokenStream {
    text.map_or_else(
        || quote!(__rs::core::option::Option::None),
        |text| quote!(__rs::core::option::Option::Some(#text)),
    )
}
