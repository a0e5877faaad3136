import type { Pool } from 'pg';

/**
 * Hears of every statement of a pool: `before` it is sent, and `after` its answer has come, while whoever asked still
 * waits for it. What they throw is thrown to whoever asked.
 */
export function listen(pool: Pool, after: (what: string) => Promise<void>, before = () => {}): void {
  pool.on('connect', (client) => {
    const query = client.query.bind(client);
    const ask = async (args: readonly unknown[]) => {
      before();
      const result = await Reflect.apply(query, undefined, args);
      const [asked] = args;
      const text = typeof asked === 'object' && asked && 'text' in asked ? asked.text : asked;
      await after(String(text).trim().split(/\s+/, 3).join(' '));
      return result;
    };
    Reflect.set(client, 'query', (...args: unknown[]) => {
      const callback = args.at(-1);
      if (typeof callback !== 'function') return ask(args);
      ask(args.slice(0, -1)).then(
        (result) => callback(undefined, result),
        (error: unknown) => callback(error),
      );
      return undefined;
    });
  });
}
