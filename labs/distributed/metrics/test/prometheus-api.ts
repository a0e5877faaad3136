import { once } from 'node:events';
import type { Server } from 'node:http';
import { parser } from '@prometheus-io/lezer-promql';
import { until } from '@shared/testkit';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The few calls of Prometheus' HTTP API that a demo and a suite need. */
export class PrometheusApi {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async query(expr: string): Promise<Sample[]> {
    const { result } = await this.#get('query', { query: expr });
    return result.map(({ metric, value }: { metric: Record<string, string>; value: [number, string] }) => ({
      labels: metric,
      value: numberOf(value[1]),
    }));
  }

  /** Each series of `expr` between two moments, in Unix seconds. */
  async range(
    expr: string,
    from: number,
    to: number,
    step: number,
  ): Promise<(readonly [at: number, value: number])[][]> {
    const { result } = await this.#get('query_range', { query: expr, start: from, end: to, step });
    return result.map(({ values }: { values: [number, string][] }) =>
      values.map(([at, value]) => [at, numberOf(value)] as const),
    );
  }

  /** Asks until the first value is as wanted. */
  async untilValue(expr: string, wanted: (value: number) => boolean, timeoutMs = 15_000): Promise<number> {
    const { value } = await until(
      async () => {
        const [sample] = await this.query(expr);
        return sample && wanted(sample.value) ? sample : undefined;
      },
      { timeoutMs, intervalMs: 50, what: `${expr} to be as wanted` },
    );
    return value;
  }

  async #get(path: string, params: Readonly<Record<string, string | number>>) {
    const url = new URL(`/api/v1/${path}`, this.#url);
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, String(value));
    const answer = JSON.parse(await (await fetch(url)).text());
    if (answer.status !== 'success') throw new Error(`Prometheus said: ${answer.error}`);
    return answer.data;
  }
}

/** Prometheus says `+Inf`. */
const numberOf = (text: string) => Number(text.replace('Inf', 'Infinity'));

/** The stretches of `expr` that are no PromQL, by the parser of Prometheus' own editor. */
export function badPromql(expr: string): string[] {
  const bad: string[] = [];
  parser.parse(expr).iterate({
    enter: ({ type, from, to }) => {
      if (type.isError) bad.push(expr.slice(from, to) || `at ${from}`);
    },
  });
  return bad;
}

/** The address of a server that listens from now on, on a free port. */
export async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || !address) throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}
