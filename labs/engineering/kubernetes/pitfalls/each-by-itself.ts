// Flaw: each object is checked by itself: that a budget or a Service selects nobody is seen in production.
// Seen in: https://github.com/devantler-tech/platform/issues/3596
// Caught by: what one object expects of another is checked: labels, ports, budgets, requests
import { checks, lintWith, type ManifestFile } from '../src/lint.ts';

export * from '../src/index.ts';

const alone = { ...checks, service: () => {}, budget: () => {}, autoscaler: () => {} };

export const lintManifests = (files: readonly ManifestFile[]) => lintWith(alone, files);
