// What Grafana's own types say of a dashboard as JSON: @grafana/schema, with the options of each kind of panel, which its
// Dashboard leaves open. `grafana.test.mjs` holds the files of examples/grafana against it.

import type { Dashboard, DataQuery, FieldConfig, GraphFieldConfig, Panel, RowPanel } from '@grafana/schema';
import type {
  FieldConfig as HeatmapFieldConfig,
  Options as HeatmapOptions,
} from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** Types as JSON has them: of an enumeration of texts, the texts. */
type Json<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends Array<infer Element>
      ? Array<Json<Element>>
      : T extends object
        ? { [Key in keyof T]: Json<T[Key]> }
        : T;

/** A query of the data source Prometheus, whose types the package does not have. */
interface Query extends DataQuery {
  editorMode: 'code' | 'builder';
  expr: string;
  exemplar: boolean;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  legendFormat: string;
  range: boolean;
}

interface Drawn<Kind extends string, Options, Custom> extends Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> {
  type: Kind;
  options: Options;
  fieldConfig: { defaults: Omit<FieldConfig, 'custom'> & { custom?: Custom }; overrides: [] };
  targets: Query[];
}

type Kinds =
  | RowPanel
  | Drawn<'timeseries', TimeSeriesOptions, GraphFieldConfig>
  | Drawn<'stat', StatOptions, never>
  | Drawn<'heatmap', HeatmapOptions, HeatmapFieldConfig>;

export type AnyDashboard = Json<Dashboard>;
export type OurDashboard = Json<Omit<Dashboard, 'panels'> & { panels: Kinds[] }>;
