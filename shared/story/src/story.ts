/** What a demo is given to tell its story with. */
import type { Axis, Tone } from './events.ts';

/** A server as a story sees it; `@shared/services` has them. */
export interface Servable extends AsyncDisposable {
  /** One line: which server, how many, from where, which version. */
  readonly banner: string;
  /** Commands to paste in order to look inside. */
  readonly inspect: readonly string[];
}

export interface TableInput {
  readonly caption?: string;
  /** A column of figures alone is aligned right unless told otherwise. */
  readonly columns: readonly (string | { readonly label: string; readonly align?: 'left' | 'right' })[];
  /** One cell a column; a figure that is not finite is shown as not measured. */
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface ChartInput {
  readonly title: string;
  readonly unit?: string;
  /** A value that is not finite is shown as not measured: `–`, without a bar. */
  readonly items: readonly {
    readonly label: string;
    readonly value: number;
    readonly note?: string;
    readonly tone?: Tone;
  }[];
  /** The one chart of the story that becomes the lab's picture.svg. */
  readonly picture?: boolean;
}

export interface LinesInput {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  /** Points are joined in their order; one that is not finite breaks the line. */
  readonly series: readonly {
    readonly label: string;
    readonly points: readonly (readonly [x: number, y: number])[];
    readonly tone?: Tone;
  }[];
  /** Upright lines at moments of the x axis: "node 3 killed". */
  readonly moments?: readonly { readonly at: number; readonly label: string; readonly tone?: Tone }[];
  /** The one chart of the story that becomes the lab's picture.svg. */
  readonly picture?: boolean;
}

interface SpanInput {
  readonly from: number;
  readonly to: number;
  readonly label?: string;
  readonly tone?: Tone;
}

export interface TimelineInput {
  readonly title: string;
  /** Unit of all moments, as in `ms`. */
  readonly unit?: string;
  readonly lanes: readonly {
    readonly label: string;
    readonly spans?: readonly SpanInput[];
    readonly marks?: readonly { readonly at: number; readonly label: string; readonly tone?: Tone }[];
  }[];
  /** Stretches that concern all lanes, as "both hold the lock"; default tone: bad. */
  readonly bands?: readonly SpanInput[];
  /** The one chart of the story that becomes the lab's picture.svg. */
  readonly picture?: boolean;
}

export interface TellOptions {
  readonly title: string;
  readonly subtitle?: string;
  /** The lab's folder, `import.meta.dirname` of its demo: `story.code` reads files from here. */
  readonly dir: string;
  /** What to do next, printed below the summary; `story.next` adds to it. */
  readonly next?: readonly string[];
}

/**
 * The narrator. All of its methods throw once the story was stopped (Ctrl-C, a closed pipe), which unwinds the body;
 * those of them that draw show their block at once.
 */
export interface Story {
  /** Seed of `random`: from --seed, else drawn at random; the summary prints it. */
  readonly seed: number;
  /** The next number in [0, 1) of the seeded sequence. */
  random(): number;
  /** Aborted by Ctrl-C, a closed pipe, or an error outside of the story's own promises. */
  readonly signal: AbortSignal;
  /**
   * Waits for a server, prints its banner, and stops it when the story ends: the last started first, whatever happened,
   * and with --hold not before Ctrl-C.
   * @throws what the server's start throws
   */
  use<S extends Servable>(server: Promise<S> | S): Promise<S>;
  /**
   * One numbered scene. An error in it is shown in its place and thrown on, so that no scene plays on ruins.
   * @throws StoryError when another scene is still being told
   */
  scene(title: string, body: () => Promise<void>): Promise<void>;
  /** A scene that cannot run here, said aloud: it takes a number and stands in the summary. */
  skip(title: string, reason: string): void;
  /**
   * Prose, wrapped. `backticks` and **bold** are rendered, an empty line parts paragraphs, `- ` begins an item;
   * shared indentation is taken off, so a template literal can stand indented.
   */
  say(text: string): void;
  /**
   * Quotes the lines of a file from the first that contains `from` to the next one below that contains `to`
   * (both included; without `to` that one line), with their numbers.
   * @param file relative to the lab's folder
   * @throws StoryError when the file or one of the texts is not found
   */
  code(file: string, range: { from: string; to?: string }): void;
  /** @throws StoryError when a row has not one cell a column */
  table(table: TableInput): void;
  bars(chart: ChartInput): void;
  lines(chart: LinesInput): void;
  /** @throws StoryError when a moment is not finite */
  timeline(chart: TimelineInput): void;
  /** A line that grows in place on a terminal; in a pipe nothing is printed. `tick()` adds 1. */
  progress(label: string, total: number): { tick(n?: number): void; done(): void };
  /**
   * The claim, what was measured (with its unit), and whether the measurement bears it out. A demo exits 0 only when
   * there was a verdict and all of them hold; a failure that a scene set out to show is one that holds.
   */
  verdict(claim: string, measured: string, holds: boolean): void;
  /** Lines of the summary that say what to do next: "`pnpm lab learn redlock` to build it yourself". */
  next(lines: readonly string[]): void;
}
