// Flaw: the panels name the datasource by the uid that it had where the dashboard was drawn; elsewhere each is "not found".
// Seen in: https://github.com/matrix-org/synapse/issues/16405
// Caught by: whoever opens the dashboard has its datasource, a place for each panel and a line for each release
import { type DashboardOptions, dashboard as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function dashboard(options: DashboardOptions) {
  const wall = reference(options);
  const datasource = { type: 'prometheus', uid: '000000001' };
  return { ...wall, panels: wall.panels.map((panel) => ({ ...panel, datasource })) };
}
