/** A failure that a worker reported; `name` is that of the error there (`NoPortError`, `BotConnectError` …). */
export class MediaError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}
