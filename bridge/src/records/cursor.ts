/** A place in the list of records: behind the one offered then, of this row. */
export interface Place {
  /** ISO 8601, UTC, with milliseconds. */
  readonly offered: string;
  readonly row: number;
}

const PLACE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\d{1,15})$/;

/** Writes a cursor: text that a URL carries as it is. */
export function writeCursor({ offered, row }: Place): string {
  return Buffer.from(`${offered} ${row}`).toString('base64url');
}

/** Reads a cursor; undefined where no page has given it. */
export function readCursor(cursor: string): Place | undefined {
  const [, offered, row] = PLACE.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (offered === undefined) return undefined;
  const place = { offered, row: Number(row) };
  // Base64 readers pass over what is none.
  return writeCursor(place) === cursor ? place : undefined;
}
