/** What the pages are told, by the server of `pnpm lab web` or by the files of `--build`. Everything survives JSON. */
import type { StoryEvent } from '@shared/story/read';

export interface StageInfo {
  readonly name: string;
  readonly english: string;
  readonly chinese: string;
}

/** Laws that hold, of those that were judged. */
export interface Count {
  readonly green: number;
  readonly total: number;
}

export interface Progress {
  readonly core: Count;
  readonly hardening: Count;
  readonly understood: boolean;
  readonly solved: boolean;
}

/** A lab on the map. */
export interface LabCard {
  readonly name: string;
  readonly stage: string;
  /** English, then Chinese. */
  readonly title: string;
  readonly description: string;
  /** Servers that it talks to. */
  readonly services: readonly string[];
  /** Those of them that could not be had now; always empty in recorded pages. */
  readonly missing: readonly string[];
  readonly coreLaws: number;
  readonly pitfalls: number;
  /** What its last told demo took; absent where none is known. */
  readonly demoSeconds?: number;
  /** Labs that lead to it. */
  readonly after: readonly string[];
  /** This learner's; absent in recorded pages, and before the first run. */
  readonly progress?: Progress;
}

export interface MapData {
  readonly stages: readonly StageInfo[];
  /** In the order of the stages. */
  readonly labs: readonly LabCard[];
}

export interface LawInfo {
  readonly name: string;
  /** Place in teaching order, from 0; absent for a hardening law. */
  readonly core?: number;
  /** Source of a regular expression for its names, where it is judged for several things under a name each. */
  readonly names?: string;
}

/** A line of a diff: `-` the reference has it, `+` the pitfall has it, a space: both. */
export interface DiffLine {
  readonly sign: ' ' | '+' | '-';
  readonly text: string;
}

export interface PitfallInfo {
  readonly name: string;
  readonly flaw: string;
  readonly seenIn: string;
  /** The name of the law. */
  readonly caughtBy: string;
  /** Without its header, which gives the flaw away. */
  readonly source: string;
  /** The parts that it has another way than the reference; empty where it has no part of the same name. */
  readonly diff: readonly { readonly title: string; readonly lines: readonly DiffLine[] }[];
  /** How the law ended on it, where that was recorded. */
  readonly recorded?: JudgedLaw;
}

export interface LabData {
  readonly card: LabCard;
  /** Markdown. */
  readonly readme: string;
  /** An SVG document. */
  readonly picture?: string;
  readonly examples: readonly string[];
  readonly laws: readonly LawInfo[];
  readonly pitfalls: readonly PitfallInfo[];
  /** What the README and the story point at: text by path, relative to the lab. */
  readonly files: Readonly<Record<string, string>>;
  /** A told demo, for pages without a server. */
  readonly recorded?: readonly Message[];
}

export interface JudgedLaw {
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  readonly ms: number;
  readonly error?: string;
  readonly core?: number;
}

/** What a run sends, one after the other; `ended` is the last. */
export type Message =
  | { readonly type: 'story'; readonly event: StoryEvent /** Of a chart. */; readonly svg?: string }
  | { readonly type: 'law'; readonly law: JudgedLaw }
  | { readonly type: 'graded'; readonly problems: readonly string[]; readonly ms: number }
  /** A page of `pnpm lab learn`, as the terminal shows it: with escapes for colours. */
  | { readonly type: 'page'; readonly text: string }
  /** The line below the page; the next one takes its place. */
  | { readonly type: 'status'; readonly text: string }
  | { readonly type: 'ended'; readonly code: number | null; readonly stderr: string };

export type RunRequest =
  | { readonly kind: 'demo'; readonly lab: string; readonly example?: string; readonly seed?: number }
  /** `law` alone, or the whole suite; on a pitfall or on the reference. */
  | { readonly kind: 'suite'; readonly lab: string; readonly pitfall?: string; readonly law?: string }
  | { readonly kind: 'learn'; readonly lab: string };

/** What a key of `pnpm lab learn` does: a hint, run again, the diff to the reference, on to all laws. */
export const learnKeys = ['h', 'r', 'd', 'a'] as const;
export type LearnKey = (typeof learnKeys)[number];
