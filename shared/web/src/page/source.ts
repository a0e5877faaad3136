import type { LabData, LearnKey, MapData, Message, RunRequest } from '../api.ts';

declare global {
  /** Of recorded pages: what a script beside them brought, by its name. */
  var conceptLabs: Map<string, unknown> | undefined;
}

/** A run that is being told. */
export interface Running {
  /** Resolves once everything that it started is gone. */
  stop(): Promise<void>;
  press(key: LearnKey): void;
}

/** Where the pages have it all from. */
export interface Source {
  /** A server answers: labs can be run. Otherwise there is what was recorded. */
  readonly live: boolean;
  map(): Promise<MapData>;
  lab(name: string): Promise<LabData>;
  /**
   * @param onLost is called once where there is nobody left who could tell the rest.
   * @throws {Error} saying why it can't be run.
   */
  run(request: RunRequest, onMessage: (message: Message) => void, onLost: () => void): Promise<Running>;
}

/** What the server says of a request that it refuses. */
async function asked(path: string, init?: RequestInit): Promise<unknown> {
  const response = await fetch(path, init);
  if (response.status === 204) return undefined;
  const body: unknown = await response.json();
  if (response.ok) return body;
  throw new Error(textAt(body, 'error') ?? `${path}: ${response.status}`);
}

function textAt(value: unknown, key: string): string | undefined {
  if (typeof value !== 'object' || value === null || !(key in value)) return undefined;
  const found: unknown = Reflect.get(value, key);
  return typeof found === 'string' ? found : undefined;
}

const json = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

/** The server that served this very page sends nothing else. */
// biome-ignore lint/suspicious/noExplicitAny: both ends are built from one file, api.ts
const trusted = (value: unknown): any => value;

const live: Source = {
  live: true,
  map: async () => trusted(await asked('api/map')),
  lab: async (name) => trusted(await asked(`api/labs/${encodeURIComponent(name)}`)),
  async run(request, onMessage, onLost) {
    const id = textAt(await asked('api/runs', json(request)), 'id') ?? '';
    const path = `api/runs/${encodeURIComponent(id)}`;
    const events = new EventSource(`${path}/messages`);
    let over = false;
    const take = (message: Message): void => {
      if (over) return;
      if (message.type === 'ended') {
        over = true;
        events.close();
      }
      onMessage(message);
    };
    events.onmessage = ({ data }) => take(trusted(JSON.parse(data)));
    // It connects anew by itself, unless the server refuses, for then the run is gone; or is gone itself.
    events.onerror = async () => {
      if (events.readyState === EventSource.CLOSED) return take({ type: 'ended', code: null, stderr: '' });
      const answers = await fetch('page.css', { method: 'HEAD' }).then(
        () => true,
        () => false,
      );
      if (answers || over) return;
      over = true;
      events.close();
      onLost();
    };
    return {
      async stop() {
        await asked(path, { method: 'DELETE' }).catch(() => {});
      },
      press: (key) => void asked(`${path}/keys`, json({ key })).catch(() => {}),
    };
  },
};

function loaded(name: string): Promise<unknown> {
  const known = globalThis.conceptLabs?.get(name);
  if (known !== undefined) return Promise.resolve(known);
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = `data/${name}.js`;
    script.onload = () => resolve(globalThis.conceptLabs?.get(name));
    script.onerror = () => reject(new Error(`${script.src} is not among these pages`));
    document.head.append(script);
  });
}

const recorded: Source = {
  live: false,
  map: async () => trusted(await loaded('map')),
  lab: async (name) => trusted(await loaded(`lab-${name}`)),
  async run(request, onMessage) {
    const { recorded: messages = [] }: LabData = trusted(await loaded(`lab-${request.lab}`));
    let stopped = false;
    // As it was told, with its pauses, none of them long.
    const play = async (): Promise<void> => {
      let before = 0;
      for (const message of messages) {
        const at = message.type === 'story' ? message.event.at : before;
        await new Promise((go) => setTimeout(go, Math.min(400, Math.max(0, at - before))));
        before = at;
        if (stopped) return;
        onMessage(message);
      }
    };
    void play();
    return {
      async stop() {
        stopped = true;
        onMessage({ type: 'ended', code: 0, stderr: '' });
      },
      press: () => {},
    };
  },
};

export const source: Source = document.documentElement.dataset['live'] === undefined ? recorded : live;
