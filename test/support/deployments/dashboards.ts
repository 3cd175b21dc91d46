/** Reads the shipped Grafana dashboards as far as tests look at them. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Target {
  refId: string;
  expr: string;
  datasource: { type: string; uid: string };
  legendFormat: string;
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
  fieldConfig?: { defaults: { unit?: string } };
}

export interface Dashboard {
  file: string;
  uid: string;
  title: string;
  schemaVersion: number;
  panels: Panel[];
  templating: { list: { name: string; type: string; query: string | { query: string }; regex: string }[] };
}

export const grafanaFolder = join(import.meta.dirname, '../../../deployments/grafana');

export const readDashboards = (): Dashboard[] =>
  readdirSync(join(grafanaFolder, 'dashboards')).map((file) => ({
    ...(JSON.parse(readFileSync(join(grafanaFolder, 'dashboards', file), 'utf8')) as Omit<Dashboard, 'file'>),
    file,
  }));

/** All expressions, with the panel each stands in. */
export const expressionsOf = (dashboard: Dashboard): { panel: string; expression: string }[] =>
  dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ panel: `${dashboard.uid} / ${title}`, expression: expr })),
  );

/** As Grafana puts `$name` in. */
export const fillIn = (expression: string, values: Readonly<Record<string, string>>): string =>
  expression.replace(/\$(\w+)/g, (whole, name: string) => values[name] ?? whole);
