import { outcome, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  boundary,
  compose,
  InvalidArgumentError,
  type Middleware,
  NextCalledTwiceError,
  NextNotAwaitedError,
  NoResponseError,
} from '#lab';

describe('the onion', () => {
  /** Notes when it is passed on the way in and out. */
  const layer =
    (log: string[], name: string): Middleware<string, string> =>
    async (request, next) => {
      log.push(`${name} in`);
      const response = await next(`${request}>${name}`);
      log.push(`${name} out`);
      return `${name}<${response}`;
    };
  /** Rejections that nobody has handled while the test ran. */
  const unhandled = () => {
    const seen: unknown[] = [];
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (reason) => seen.push(reason));
    onTestFinished(() => {
      process.removeAllListeners('unhandledRejection');
      for (const each of listeners) process.on('unhandledRejection', each);
    });
    return seen;
  };
  /** Long enough for Node to report what nobody has handled. */
  const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

  test('layers are passed in their order on the way in, and in reverse on the way out', async () => {
    const log: string[] = [];
    const app = compose([layer(log, 'A'), layer(log, 'B')], (request) => {
      log.push('handler');
      return `answer to ${request}`;
    });
    expect(await app('order')).toBe('A<B<answer to order>A>B');
    expect(log).toEqual(['A in', 'B in', 'handler', 'B out', 'A out']);
    expect(await compose([], (request: string) => request)('alone')).toBe('alone');
  });

  test('a layer that answers by itself keeps what is inside of it out, and those outside go on', async () => {
    const log: string[] = [];
    let handled = 0;
    const closed: Middleware<string, string> = () => 'closed';
    const app = compose([layer(log, 'A'), closed, layer(log, 'B')], () => `${++handled}`);
    expect(await app('order')).toBe('A<closed');
    expect([log, handled]).toEqual([['A in', 'A out'], 0]);
  });

  test('a second next() is refused, and the handler has run once', async () => {
    const seen = unhandled();
    let handled = 0;
    const returnsTheSecond: Middleware<string, string> = async (_, next) => {
      await next();
      return next();
    };
    const catchesTheRefusal: Middleware<string, string> = async (_, next) => {
      await next();
      return next().catch(() => 'caught');
    };
    const dropsTheSecond: Middleware<string, string> = async (_, next) => {
      const response = await next();
      void next();
      return response;
    };
    for (const twice of [returnsTheSecond, catchesTheRefusal, dropsTheSecond]) {
      handled = 0;
      const { error } = await outcome(compose([twice], () => `${++handled}`)('order'));
      expect(error, `what the request rejects with, its layer being ${twice.name}`).toBeInstanceOf(
        NextCalledTwiceError,
      );
      expect(String(error)).toContain(twice.name);
      expect(handled, `runs of the handler, with ${twice.name}`).toBe(1);
    }
    await turn();
    expect(seen, 'rejections that nobody handled').toEqual([]);
  });

  test('a layer that does not wait for next() is named, and what it left is waited for', async () => {
    const seen = unhandled();
    const log: string[] = [];
    const hasty: Middleware<string, string> = (_, next) => {
      void next();
      return 'too early';
    };
    const handler = async () => {
      await turn();
      log.push('handled');
      throw new Error('late');
    };
    const throwing: Middleware<string, string> = (_, next) => {
      void next();
      throw new Error('early');
    };
    const answered = await outcome(compose([hasty], handler)('order').finally(() => log.push('answered')));
    const thrown = await outcome(compose([throwing], handler)('order').finally(() => log.push('answered')));
    await until(() => log.filter((each) => each === 'handled').length === 2, {
      timeoutMs: 500,
      what: 'both handlers done',
    });
    await turn();
    expect(seen, 'rejections that nobody handled').toEqual([]);
    expect(answered.error, 'what the request rejects with, its layer being hasty').toBeInstanceOf(NextNotAwaitedError);
    expect(String(answered.error)).toContain('Layer 1 (hasty)');
    expect([answered.error, thrown.error]).toMatchObject([
      { cause: { message: 'late' } },
      { cause: { message: 'early' } },
    ]);
    expect(log).toEqual(['handled', 'answered', 'handled', 'answered']);
  });

  test('next() after the answer begins nothing', async () => {
    const seen = unhandled();
    let handled = 0;
    let late: Promise<unknown> = Promise.resolve();
    const sleepy: Middleware<string, string> = (_, next) => {
      late = turn().then(() => next());
      return 'answer';
    };
    expect(await compose([sleepy], () => `${++handled}`)('order')).toBe('answer');
    expect((await outcome(late)).error, 'what the late next() rejects with').toBeInstanceOf(NextNotAwaitedError);
    expect([handled, seen]).toEqual([0, []]);
  });

  test('an error becomes a response at the boundary: inside of it an error is seen, outside a response', async () => {
    const log: string[] = [];
    const watch =
      (name: string): Middleware<string, string> =>
      async (_, next) => {
        const { value, error } = await outcome(next());
        log.push(`${name}: ${error ?? value}`);
        if (error !== undefined) throw error;
        return value ?? '';
      };
    const declined = new Error('declined');
    const toResponse = async (error: unknown, request: string) => `500 ${request}: ${error === declined}`;
    const app = compose([watch('log'), boundary(toResponse), watch('transaction')], () => {
      throw declined;
    });
    expect(await app('order')).toBe('500 order: true');
    expect(log).toEqual(['transaction: Error: declined', 'log: 500 order: true']);
    expect((await outcome(compose([watch('bare')], () => Promise.reject(declined))('order'))).error).toBe(declined);
  });

  test('who returns nothing is named, a handler too; null and false are responses', async () => {
    const nothing = () => JSON.parse('{}').response;
    const forgets: Middleware<string, string> = async (_, next) => {
      await next();
      return nothing();
    };
    const app = compose([forgets], () => 'answer');
    expect(String((await outcome(app('order'))).error)).toContain('Layer 1 (forgets) has returned undefined');
    const { error } = await outcome(compose<string, string>([(_, next) => next()], nothing)('order'));
    expect(error).toBeInstanceOf(NoResponseError);
    expect(String(error)).toContain('The handler (nothing)');
    expect([await compose([], () => null)('order'), await compose([], () => false)('order')]).toEqual([null, false]);
  });

  test('requests that come at once do not see each other, and layers added later are in nobody’s way', async () => {
    const layers = [layer([], 'A'), layer([], 'B')];
    const app = compose(layers, async (request) => {
      await turn();
      return request;
    });
    layers.push(() => 'smuggled in');
    const all = await Promise.all(Array.from({ length: 50 }, (_, n) => app(`${n}`)));
    const wrong = all.filter((each, n) => each !== `A<B<${n}>A>B`);
    expect(wrong.slice(0, 3), `${wrong.length} of 50 answers are wrong, such as`).toEqual([]);
  });

  test('the handler is given the request alone: no option of its own is taken by next', async () => {
    const handler = (_: string, ...options: unknown[]) => options.length;
    const pass: Middleware<string, number> = (_, next) => next();
    expect(await compose([pass], handler)('order')).toBe(0);
  });

  test('a layer that is no function is refused before any request', () => {
    for (const wrong of [undefined, null, {}, 'log']) {
      const layers = [layer([], 'A'), JSON.parse(JSON.stringify({ wrong })).wrong];
      expect(() => compose(layers, () => 'answer')).toThrow(InvalidArgumentError);
      expect(() => compose(layers, () => 'answer')).toThrow('Layer 2');
    }
    const handler = JSON.parse('{}').handler;
    expect(() => compose([layer([], 'A')], handler)).toThrow('The handler is undefined');
  });

  test('a thousand layers deep is no deeper than one', async () => {
    const one: Middleware<number, number> = (request, next) => next(request + 1);
    const app = compose(
      Array.from({ length: 1000 }, () => one),
      (request) => request,
    );
    expect(await app(0)).toBe(1000);
  });
});
