//! Answers as Prometheus' API writes them (prometheus.io, "HTTP API: Expression query result formats").

use std::fmt::Write as _;

use super::{
    Answer, Element, Histogram, Labels, Points, Series, evaluate::go_number, source::Point,
};

/// `{"resultType": ..., "result": ...}`; `at_ms` is the moment of an instant query.
pub(crate) fn write(answer: &Answer, at_ms: i64) -> String {
    let mut out = Writer(String::from(r#"{"resultType":"#));
    match answer {
        Answer::Scalar(value) => {
            out.put(r#""scalar","result":"#);
            out.point(at_ms, *value);
        }
        Answer::Text(text) => {
            out.put(r#""string","result":["#);
            out.time(at_ms);
            out.put(",");
            out.text(text);
            out.put("]");
        }
        Answer::Vector(elements) => {
            out.put(r#""vector","result":"#);
            out.list(elements, |out, element| out.element(element, at_ms));
        }
        Answer::Matrix(series) => {
            out.put(r#""matrix","result":"#);
            out.list(series, Writer::series);
        }
    }
    out.put("}");
    out.0
}

/// `{"name": "value", ...}`.
pub(crate) fn labels(labels: &Labels) -> String {
    let mut out = Writer(String::new());
    out.labels(labels);
    out.0
}

struct Writer(String);

impl Writer {
    fn put(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn text(&mut self, text: &str) {
        // Text always has a form in JSON.
        self.put(&serde_json::to_string(text).unwrap_or_default());
    }

    /// Seconds since the Unix epoch, to the millisecond.
    fn time(&mut self, ms: i64) {
        let sign = if ms < 0 { "-" } else { "" };
        let (seconds, rest) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
        // Writing to a string does not fail.
        let _ = match rest {
            0 => write!(self.0, "{sign}{seconds}"),
            _ => write!(self.0, "{sign}{seconds}.{rest:03}"),
        };
    }

    fn point(&mut self, ms: i64, value: f64) {
        self.put("[");
        self.time(ms);
        self.put(",\"");
        self.put(&go_number(value));
        self.put("\"]");
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.put("[");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.put(",");
            }
            write(self, item);
        }
        self.put("]");
    }

    fn labels(&mut self, labels: &Labels) {
        self.put("{");
        for (at, (name, value)) in labels.iter().enumerate() {
            if at > 0 {
                self.put(",");
            }
            self.text(name);
            self.put(":");
            self.text(value);
        }
        self.put("}");
    }

    fn element(&mut self, element: &Element, at_ms: i64) {
        self.put(r#"{"metric":"#);
        self.labels(&element.labels);
        if let Some(histogram) = &element.histogram {
            self.put(r#","histogram":"#);
            self.histogram(at_ms, histogram);
        } else {
            self.put(r#","value":"#);
            self.point(at_ms, element.value);
        }
        self.put("}");
    }

    fn series(&mut self, series: &Series) {
        self.put(r#"{"metric":"#);
        self.labels(&series.labels);
        match &series.points {
            Points::Floats(points) => {
                self.put(r#","values":"#);
                self.list(points, |out, point: &Point| {
                    out.point(point.time_ms, point.value);
                });
            }
            Points::Histograms(points) => {
                self.put(r#","histograms":"#);
                self.list(points, |out, (time, histogram)| {
                    out.histogram(*time, histogram);
                });
            }
        }
        self.put("}");
    }

    /// Buckets are `[which ends are included, lower, upper, count]`; 0 says that the upper one is, 1 the lower, 3 both.
    fn histogram(&mut self, at_ms: i64, histogram: &Histogram) {
        self.put("[");
        self.time(at_ms);
        // Writing to a string does not fail.
        let _ = write!(
            self.0,
            r#",{{"count":"{}","sum":"{}","buckets":"#,
            go_number(histogram.count()),
            go_number(histogram.sum)
        );
        self.list(&histogram.buckets(), |out, &(lower, upper, count)| {
            let ends = match () {
                () if lower > 0.0 => 0,
                () if upper < 0.0 => 1,
                () => 3,
            };
            // Writing to a string does not fail.
            let _ = write!(
                out.0,
                r#"[{ends},"{}","{}","{}"]"#,
                go_number(lower),
                go_number(upper),
                go_number(count)
            );
        });
        self.put("}]");
    }
}
