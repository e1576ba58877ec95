"""Memory that processes of one user on one host share, through iceoryx2 (an extra).

Shell, except `room_waits` and `samples`.
"""
