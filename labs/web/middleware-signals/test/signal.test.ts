import { outcome } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import { InvalidArgumentError, type Receiver, Signal } from '#lab';

describe('signals', () => {
  const bell = () => {
    const signal = new Signal<string, string>('order placed');
    const heard: string[] = [];
    const receiver =
      (name: string): Receiver<string, string> =>
      async (payload) => {
        await Promise.resolve();
        heard.push(`${name}: ${payload}`);
        return name;
      };
    return { signal, heard, receiver };
  };

  test('receivers are told one after the other, in the order of connecting; who wants one sender hears that one alone', async () => {
    const { signal, heard, receiver } = bell();
    signal.connect(async (payload) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      heard.push(`mail: ${payload}`);
      return 'mail';
    });
    signal.connect(receiver('points'), { sender: 'shop' });
    signal.connect(receiver('stock'));
    expect(await signal.send('bread', 'shop'), 'what the receivers returned').toEqual(['mail', 'points', 'stock']);
    expect(await signal.send('cake', 'web')).toEqual(['mail', 'stock']);
    expect(heard).toEqual(['mail: bread', 'points: bread', 'stock: bread', 'mail: cake', 'stock: cake']);
  });

  test('one uid is connected once, for each sender; so is one function', async () => {
    const { signal, receiver } = bell();
    for (let n = 0; n < 3; n++) signal.connect(receiver(`mail ${n}`), { dispatchUid: 'mail' });
    expect(await signal.send('bread', 'shop'), 'of three connections named "mail"').toEqual(['mail 0']);
    signal.connect(receiver('of the web'), { dispatchUid: 'mail', sender: 'web' });
    const points = receiver('points');
    for (let n = 0; n < 3; n++) signal.connect(points);
    expect(await signal.send('bread', 'web')).toEqual(['mail 0', 'of the web', 'points']);
    expect(signal.size).toBe(3);
  });

  test('send ends at the first that fails; sendRobust tells everybody, and says what became of each', async () => {
    const { signal, heard, receiver } = bell();
    const broken = new Error('no paper');
    const printer = async () => {
      throw broken;
    };
    const sync = () => {
      throw broken;
    };
    const [first, last] = [receiver('first'), receiver('last')];
    for (const each of [first, printer, sync, last]) signal.connect(each);
    expect((await outcome(signal.send('bread', 'shop'))).error).toBe(broken);
    expect(heard).toEqual(['first: bread']);
    expect(await signal.sendRobust('cake', 'shop')).toEqual([
      { receiver: first, value: 'first' },
      { receiver: printer, error: broken },
      { receiver: sync, error: broken },
      { receiver: last, value: 'last' },
    ]);
    expect(heard.slice(1)).toEqual(['first: cake', 'last: cake']);
  });

  test('a receiver that fails with nothing has failed', async () => {
    const { signal } = bell();
    signal.connect(() => Promise.reject());
    const [heard] = await signal.sendRobust('bread', 'shop');
    expect(heard).toHaveProperty('error', undefined);
  });

  test('who comes or goes while it is told changes the next telling', async () => {
    const { signal, heard, receiver } = bell();
    const once: Disposable = signal.connect(() => {
      once[Symbol.dispose]();
      signal.connect(receiver('late'));
      heard.push('once');
    });
    signal.connect(receiver('always'));
    await signal.send('bread', 'shop');
    expect(heard).toEqual(['once', 'always: bread']);
    await signal.send('cake', 'shop');
    expect(heard.slice(2)).toEqual(['always: cake', 'late: cake']);
  });

  test('a receiver may send again, and is told within', async () => {
    const { signal, heard } = bell();
    signal.connect(async (payload) => {
      heard.push(payload);
      if (payload.length < 4) await signal.send(`${payload}!`, 'shop');
    });
    await signal.send('!', 'shop');
    expect(heard).toEqual(['!', '!!', '!!!', '!!!!']);
  });

  test('a connection is taken back by its own disposable, by its receiver or by its uid, and no other one is', async () => {
    const { signal, receiver } = bell();
    const mail = receiver('mail');
    const first = signal.connect(mail);
    // It was there: it isn't ours to take back.
    signal.connect(mail)[Symbol.dispose]();
    expect(signal.size).toBe(1);
    signal.connect(mail, { sender: 'web' });
    signal.connect(receiver('stock'), { dispatchUid: 'stock' });
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    expect(await signal.send('bread', 'web')).toEqual(['mail', 'stock']);
    expect([signal.disconnect(mail), signal.disconnect('mail'), signal.disconnect('stock')]).toEqual([
      false,
      false,
      true,
    ]);
    expect(signal.disconnect(mail, { sender: 'web' })).toBe(true);
    expect([signal.size, await signal.send('bread', 'web')]).toEqual([0, []]);
  });

  test('a receiver that is no function is refused, and a sender that is not there: it would be everybody', () => {
    const { signal } = bell();
    for (const wrong of [undefined, {}, 'mail']) {
      const receiver = JSON.parse(JSON.stringify({ wrong })).wrong;
      expect(() => signal.connect(receiver)).toThrow(InvalidArgumentError);
      expect(() => signal.connect(receiver)).toThrow('order placed');
    }
    const nobody = JSON.parse('[]')[0];
    const { signal: bare, receiver } = bell();
    bare.connect(receiver('mail'), { dispatchUid: 'mail' });
    expect(() => bare.connect(receiver('web'), { sender: nobody })).toThrow(InvalidArgumentError);
    expect(() => bare.disconnect('mail', { sender: nobody })).toThrow(InvalidArgumentError);
    expect([signal.size, bare.size]).toEqual([0, 1]);
  });
});
