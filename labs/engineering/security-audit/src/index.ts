export type { Confidence, Finding, Position, Rule, Severity, Span } from './finding.ts';
export { type RuleId, rules } from './rules.ts';
export { ScanError, Scanner, type ScanOptions, type ScanReport, scan, toSarif } from './scan.ts';
