"""What to say of a run (`message`), in which form (`markdown`, `slack`, `mail`; all pure), and how to send it.

Discord is spoken to here (`discord`); the rest through Apprise (`through_apprise`) or, in Airflow, its own notifiers.
"""
