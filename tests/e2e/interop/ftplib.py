# The agenda of the table with ftplib; the session has been opened.
prefix = 1000
with open("big", "wb") as file:
    ftp.retrbinary("RETR big", file.write)
with open("up", "rb") as file:
    ftp.storbinary("STOR up", file)
# pure-ftpd names the directory itself and its parent, too.
names = [name for name in ftp.nlst("many") if "hollow-" in name]
with open("listing", "w") as file:
    file.write("\n".join(names) + "\n")
for name in (name.rpartition("/")[2] for name in names):
    with open("got/" + name, "wb") as file:
        ftp.retrbinary("RETR many/" + name, file.write)
with open("rest", "ab") as file:
    ftp.retrbinary("RETR rest", file.write, rest=prefix)
with open("more", "rb") as file:
    file.seek(prefix)
    ftp.storbinary("STOR more", file, rest=prefix)
ftp.rename("old", "new")
ftp.delete("doomed")
