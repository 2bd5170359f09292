/** Why a backup or a restore does not go on, as text for its operator. Nothing is half done: it can be repeated. */
export class BackupFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BackupFault';
  }
}
