import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RuleFile } from '../src/index.ts';

/** Series as promtool writes them: `{ 'up{job="shop"}': '1x10' }`, one value each second, or each `stepSeconds`. */
export type SeriesInput = Readonly<Record<string, string>>;
export type LabelValues = Readonly<Record<string, string>>;

/** Prometheus' own engine on series of the law's own and on a clock of its own: no waiting. */
export class Promtool {
  readonly #path: string;
  readonly #step: string;

  constructor(path: string | undefined, stepSeconds = 1) {
    this.#step = `${stepSeconds}s`;
    if (path === undefined) throw new Error('This Prometheus came without promtool: run the suite on an embedded one.');
    this.#path = path;
  }

  /** What each expression gives `at` so many seconds. */
  async evaluate(
    series: SeriesInput,
    at: number,
    ...exprs: string[]
  ): Promise<{ labels: LabelValues; value: number }[][]> {
    const promql_expr_test = exprs.map((expr) => ({
      expr,
      eval_time: `${at}s`,
      exp_samples: [{ labels: 'never{}', value: 0 }],
    }));
    const said = await this.#said(series, { promql_expr_test });
    const answers = [...said.matchAll(/^ +got: (.*)$/gm)].map(([, samples = '']) =>
      [...samples.matchAll(/(\{.*?\}) ([^ ,]+)(?:, |$)/g)].map(([, labels = '', value = '']) => ({
        labels: labelsOf(labels),
        value: value.endsWith('Inf') ? Number(value.replace('Inf', 'Infinity')) : Number(value),
      })),
    );
    if (answers.length !== exprs.length) throw new Error(`promtool said:\n${said}`);
    return answers;
  }

  /** The one value of an expression; `undefined` if it has none. */
  async value(series: SeriesInput, at: number, expr: string): Promise<number | undefined> {
    const [samples = []] = await this.evaluate(series, at, expr);
    if (samples.length > 1) throw new Error(`${expr} has ${samples.length} values: ${JSON.stringify(samples)}`);
    return samples[0]?.value;
  }

  /** Which alerts fire at each of these seconds. */
  async firing(
    rules: RuleFile,
    series: SeriesInput,
    name: string,
    ...seconds: number[]
  ): Promise<{ labels: LabelValues; annotations: LabelValues }[][]> {
    const alert_rule_test = seconds.map((at) => ({
      alertname: name,
      eval_time: `${at}s`,
      exp_alerts: [{ exp_labels: { never: '' } }, { exp_labels: { never: '1' } }],
    }));
    const said = await this.#said(series, { alert_rule_test }, rules);
    const answers = [...said.matchAll(/ got:\[(?:\]|\n([\s\S]*?)^ *\]$)/gm)].map(([, alerts = '']) =>
      [...alerts.matchAll(/Labels:(.*)\n +Annotations:(.*)/g)].map(([, labels = '', annotations = '']) => ({
        labels: labelsOf(labels),
        annotations: labelsOf(annotations),
      })),
    );
    if (answers.length !== seconds.length) throw new Error(`promtool said:\n${said}`);
    return answers;
  }

  /** promtool's opinion of a rule file; an error with its reason otherwise. */
  async check(rules: RuleFile): Promise<string> {
    return this.#run({ 'rules.yml': rules }, ['check', 'rules', 'rules.yml']);
  }

  #said(series: SeriesInput, tests: object, rules?: RuleFile): Promise<string> {
    const input_series = Object.entries(series).map(([name, values]) => ({ series: name, values }));
    const test = {
      evaluation_interval: this.#step,
      ...(rules && { rule_files: ['rules.yml'] }),
      tests: [{ interval: this.#step, input_series, ...tests }],
    };
    return this.#run({ 'test.yml': test, ...(rules && { 'rules.yml': rules }) }, ['test', 'rules', 'test.yml'], true);
  }

  async #run(files: Readonly<Record<string, object>>, args: string[], fails = false): Promise<string> {
    const cwd = await mkdtemp(join(tmpdir(), 'promtool-'));
    try {
      for (const [name, content] of Object.entries(files)) await writeFile(join(cwd, name), JSON.stringify(content));
      return await new Promise((resolve, reject) => {
        execFile(this.#path, args, { cwd, encoding: 'utf8' }, (error, stdout, stderr) => {
          if (error && !fails) reject(new Error(`promtool said:\n${stdout}${stderr}`, { cause: error }));
          else resolve(stdout + stderr);
        });
      });
    } finally {
      await rm(cwd, { recursive: true, force: true });
    }
  }
}

function labelsOf(text: string): LabelValues {
  const pairs = [...text.matchAll(/(\w+)=("(?:[^"\\]|\\.)*")/g)];
  return Object.fromEntries(pairs.map(([, name = '', value = '""']) => [name, String(JSON.parse(value))]));
}
