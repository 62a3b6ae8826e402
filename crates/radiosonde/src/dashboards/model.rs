//! A dashboard as Grafana's JSON: its model of dashboards, version 39, which Grafana 11 writes and later ones bring up to
//! date by themselves. `web/test/grafana.test.mjs` holds every file against Grafana's own types.

use serde_json::{Value, json};

use super::panels::{Form, Panel, Query, Sheet};

/// Rows of Grafana's grid that a panel is high; one is 30 pixels.
const ROWS: u32 = 8;
/// The same, of a single number.
const ROWS_NUMBER: u32 = 4;
/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;

/// The text, with a newline at its end. Names are sorted, so that it depends on nothing else than the dashboard.
pub(super) fn json(sheet: &Sheet) -> String {
    format!("{:#}\n", dashboard(sheet))
}

fn dashboard(sheet: &Sheet) -> Value {
    json!({
        "uid": format!("radiosonde-{}", sheet.name),
        "title": format!("Radiosonde: {}", sheet.title),
        "description": sheet.about,
        "tags": ["radiosonde"],
        "schemaVersion": 39,
        "editable": true,
        // A crosshair at the same time in all panels.
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{
            "title": "Radiosonde",
            "type": "dashboards",
            "tags": ["radiosonde"],
            "asDropdown": true,
            "icon": "external link",
            "includeVars": true,
            "keepTime": true,
            "targetBlank": false,
            "tooltip": "",
        }],
        "templating": {"list": [data_source(), service()]},
        "panels": panels(&sheet.panels),
    })
}

/// The reference to the data source that is chosen.
fn chosen() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn data_source() -> Value {
    json!({
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "multi": false,
        "includeAll": false,
    })
}

/// Every program with this library has `target_info`.
fn service() -> Value {
    let query = "label_values(target_info, job)";
    json!({
        "name": "service",
        "label": "Service",
        "description": "Prometheus' job: of what comes by OTLP or from sonde serve, the name of the service.",
        "type": "query",
        "datasource": chosen(),
        "query": {"query": query, "refId": "service"},
        // On every change of the time.
        "refresh": 2,
        // By name.
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
    })
}

/// Panels from left to right, as many in a row as there is room for.
fn panels(panels: &[Panel]) -> Vec<Value> {
    let mut placed = Vec::new();
    let (mut x, mut y, mut row_height) = (0, 0, 0);
    for panel in panels {
        let height = if panel.form == Form::Number {
            ROWS_NUMBER
        } else {
            ROWS
        };
        let begins = panel.heading.is_some() || x + panel.width > COLUMNS;
        if begins {
            (x, y, row_height) = (0, y + row_height, 0);
        }
        if let Some(heading) = &panel.heading {
            placed.push(json!({
                "id": placed.len() + 1,
                "type": "row",
                "title": heading,
                "collapsed": false,
                "panels": [],
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
            }));
            y += 1;
        }
        let place = json!({"h": height, "w": panel.width, "x": x, "y": y});
        placed.push(drawn(panel, placed.len() + 1, &place));
        x += panel.width;
        row_height = row_height.max(height);
    }
    placed
}

fn drawn(panel: &Panel, id: usize, place: &Value) -> Value {
    let kind = match panel.form {
        Form::Number => "stat",
        Form::Lines | Form::Areas => "timeseries",
        Form::Rows | Form::Heatmap => "heatmap",
    };
    let targets = ('A'..).zip(&panel.queries);
    json!({
        "id": id,
        "type": kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": chosen(),
        "gridPos": place,
        "targets": targets.map(|(id, query)| target(panel.form, id, query)).collect::<Vec<_>>(),
        "fieldConfig": {"defaults": field(panel), "overrides": []},
        "options": options(panel),
    })
}

fn target(form: Form, id: char, query: &Query) -> Value {
    json!({
        "refId": id.to_string(),
        "datasource": chosen(),
        "editorMode": "code",
        "expr": query.promql,
        "legendFormat": query.legend,
        // Buckets are counted up to their bound; this makes single ones of them.
        "format": if form == Form::Heatmap { "heatmap" } else { "time_series" },
        "range": true,
        "instant": false,
        // The trace that a measurement is from, where the data source leads to one.
        "exemplar": form != Form::Number && query.promql.contains("_bucket{"),
    })
}

fn field(panel: &Panel) -> Value {
    let mut field = json!({"unit": panel.unit});
    match panel.form {
        Form::Lines | Form::Areas => {
            let stacks = panel.form == Form::Areas;
            field["custom"] = json!({
                "axisSoftMin": 0,
                "drawStyle": "line",
                "fillOpacity": if stacks { 25 } else { 0 },
                "lineWidth": 1,
                "showPoints": "auto",
                "spanNulls": false,
                "stacking": {"group": "A", "mode": if stacks { "normal" } else { "none" }},
            });
        }
        // By thresholds a number over 80 would be red, whatever it is of.
        Form::Number => field["color"] = json!({"mode": "palette-classic"}),
        Form::Rows | Form::Heatmap => {}
    }
    field
}

fn options(panel: &Panel) -> Value {
    match panel.form {
        Form::Number => json!({
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            "showPercentChange": false,
            "textMode": "auto",
            "wideLayout": true,
        }),
        Form::Lines | Form::Areas => json!({
            "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": true},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        Form::Rows | Form::Heatmap => heatmap(panel),
    }
}

fn heatmap(panel: &Panel) -> Value {
    let of_rows = panel.form == Form::Rows;
    let mut color = json!({
        "mode": "scheme",
        "scheme": "Turbo",
        "fill": "dark-orange",
        "scale": "exponential",
        "exponent": if of_rows { 1.0 } else { 0.5 },
        "steps": 64,
        "reverse": false,
    });
    if of_rows {
        // The same colour is the same share, whatever else is shown.
        (color["min"], color["max"]) = (json!(0), json!(1));
    }
    let mut options = json!({
        "calculate": false,
        "cellGap": 1,
        "cellValues": if of_rows { json!({"unit": panel.unit}) } else { json!({}) },
        "color": color,
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "legend": {"show": true},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": !of_rows, "showColorScale": true},
        "yAxis": {"axisPlacement": "left"},
    });
    if !of_rows {
        options["yAxis"]["unit"] = json!(panel.unit);
        // A bucket into which nothing fell is left empty; a device that has no work is not.
        options["filterValues"] = json!({"le": 1e-9});
    }
    options
}
