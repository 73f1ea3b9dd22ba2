# A class-data archive (AppCDS): a static dump of the classes in a checked-in list, for one JDK, one class path and one
# collector. JDK 17 writes a different file each time, so this is not reproducible bit by bit; what reads it gets the
# same classes. A JVM that can't use it starts without, more slowly.
{ runCommand }:
{
  name,
  jre,
  classPath,
  classList,
  options,
}:
runCommand "${name}-not-bit-identical.jsa" { } ''
  ${jre}/bin/java -Xshare:dump -Xlog:cds=warning,cds+dynamic=warning -XX:SharedClassListFile=${classList} \
    -XX:SharedArchiveFile=$out ${toString options} @${classPath}
''
